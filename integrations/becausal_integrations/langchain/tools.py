"""Tool calls as steps, with the model call that decided on each and the earlier tries of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from becausal import semconv
from becausal.context import current
from becausal.recorder import NOTHING, Opening, Recorder
from becausal.redaction import beginning
from becausal.step import Cause, OpenStep, Status, StepRef
from becausal_integrations.langchain.arguments import own_arguments
from becausal_integrations.langchain.attempts import attempt_after
from becausal_integrations.langchain.calls import Calls
from becausal_integrations.langchain.describe import outcome, text_of_content
from becausal_integrations.langchain.runnables import Runnables

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

__all__ = ["Tools"]


class Tools:
    """Says what `BaseTool.run` and its helpers mean."""

    def __init__(self, recorder: Recorder, calls: Calls, runnables: Runnables) -> None:
        self._recorder, self._calls, self._runnables = recorder, calls, runnables

    def opened(
        self,
        tool: BaseTool,
        tool_input: Any = None,
        *args: Any,
        tool_call_id: str | None = None,
        callbacks: Any = None,
        **_: Any,
    ) -> Opening:
        """Tell a call of `BaseTool.run`: received are the arguments that the model gave."""
        here = current()
        callbacks = args[3] if len(args) > 3 else callbacks
        parent = None if here is not None else self._runnables.enclosing(callbacks)
        opening = Opening("tool", tool.name, received=own_arguments(tool, tool_input), parent=parent)
        if tool_call_id is not None:
            self._identify(opening, here or parent, tool_call_id)
        before = self._runnables.tried_before(
            getattr(callbacks, "parent_run_id", None), getattr(callbacks, "tags", ())
        )
        if before is not None and not any(cause.source_id == before.id for cause in opening.causes):
            opening.attributes[semconv.ATTEMPT] = attempt_after(before)
            evidence = f"after {getattr(before, 'name', 'a call')} had failed"
            opening.causes = [
                *opening.causes,
                Cause(before.id, "retry", "observed", evidence, before.span_context),
            ]
        return opening

    def answered(self, content: Any, artifact: Any, tool_call_id: str | None, name: str, status: str) -> None:
        """Seal a tool's raw answer, before it becomes a message."""
        step = current()
        if not isinstance(step, OpenStep) or step.kind != "tool" or step.name != name:
            return
        answer = content if artifact is None else (content, artifact)
        self._recorder.produce(step, answer)
        self._recorder.keep(step, "answer", answer, unless_sorted=True)
        if artifact is not None:
            step.attributes[semconv.TOOL_ARTIFACT] = True
        if status == "error":  # a ToolException that the tool was told to answer with
            self._recorder.fail(step, beginning(text_of_content(content)), "ToolException")
        elif getattr(content, "status", None) == "error":  # a message of the tool's own making says so
            self._recorder.fail(
                step, beginning(text_of_content(getattr(content, "content", ""))), "ToolMessage"
            )

    def handling(self, error: BaseException, *_: Any, **__: Any) -> None:
        """Keep the exception that a tool was told to answer for: the answer is made of it."""
        step = current()
        if isinstance(step, OpenStep) and step.kind == "tool":
            self._recorder.keep(step, "error", error)

    def closed(self, step: OpenStep, result: Any) -> Any:
        """Tell the end of a call; the raw answer was sealed by `answered`."""
        has_failed = semconv.ERROR_TYPE in step.attributes
        self._calls.made(step, "error" if has_failed else "ok", current())
        if has_failed:
            self._recorder.end(step, status="error")
        return NOTHING if step.produced is not None else result

    def failed(self, step: OpenStep, error: BaseException) -> Status | None:
        """Tell an interrupt inside a tool from a failure."""
        status = outcome(error)
        self._calls.made(step, status or "error", current())
        return status

    def erring(self, manager: Any, *_: Any, **__: Any) -> None:
        """Note a call that fails, for `with_retry` and `with_fallbacks`; called while the tool's step is current."""
        step = current()
        if isinstance(step, OpenStep) and step.kind == "tool":
            self._runnables.failed(manager.parent_run_id, step)

    # -- what a `ToolNode` makes of a call

    def asking(self, _: Any, call: Any, *__: Any, **___: Any) -> tuple[dict[str, Any], int] | None:
        """Keep which call a `ToolNode` is about to make, and how often it was made before."""
        here = current()
        if here is None or not isinstance(call, dict):
            return None
        known = self._calls.call(here.chain_id, str(call.get("id")), here)
        return call, 0 if known is None else known.made

    def told(
        self, token: tuple[dict[str, Any], int] | None, answer: Any, error: BaseException | None
    ) -> None:
        """Complete a call's step by what the model is told of it; make it, where no tool was run.

        A `ToolNode` answers by itself for a tool that it does not have, and a middleware may answer in its place.
        """
        here = current()
        if token is None or here is None or (error is not None and outcome(error) is not None):
            return
        call, made_before = token
        known = self._calls.call(here.chain_id, str(call.get("id")), here)
        if known is None or known.made == made_before:
            self._tell(call, here, answer, error)
        elif (failed := known.untold) is not None:
            known.untold = None
            if error is None:
                self._recorder.produce(failed, _said(answer))  # what the failure was told as
                self._recorder.write(failed)

    def _tell(self, call: dict[str, Any], here: StepRef, answer: Any, error: BaseException | None) -> None:
        opening = Opening("tool", str(call.get("name")), received=call.get("args"))
        if call.get("id") is not None:
            self._identify(opening, here, str(call["id"]))
        step = self._recorder.begin(opening)
        if step is None:
            return
        is_error = error is None and getattr(answer, "status", None) == "error"
        if is_error:
            self._recorder.fail(
                step, beginning(text_of_content(getattr(answer, "content", ""))), "ToolMessage"
            )
        produced = NOTHING if error is not None else _said(answer)
        self._recorder.end(step, produced, error=error, status="error" if is_error else None)
        self._calls.made(step, step.status, here)

    def _identify(self, opening: Opening, holder: StepRef | None, tool_call_id: str) -> None:
        """Say which of the model's calls a step makes, and for which time."""
        opening.attributes[semconv.TOOL_CALL_ID] = tool_call_id
        call = None if holder is None else self._calls.call(holder.chain_id, tool_call_id, holder)
        if call is None:
            return
        opening.causes = call.causes(tool_call_id)
        if call.next_attempt > 1:
            opening.attributes[semconv.ATTEMPT] = call.next_attempt


def _said(answer: Any) -> Any:
    """Return what a tool's message says; a `Command` as it is."""
    return getattr(answer, "content", answer)
