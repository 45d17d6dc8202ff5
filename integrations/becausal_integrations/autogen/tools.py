"""Tool calls, through the stages of their results (autogen-core, autogen-agentchat, MCP).

A result passes through four hands: the raw value that the tool returned; a `ToolResult`, which is text; what the model
is shown (`FunctionExecutionResult`); the text of the agent's answer (`ToolCallSummaryMessage`). The raw value is what a
tool's step produced; what the model is shown is in what its next call received, the summary in what the turn produced.
Where the raw value is not what was passed on, the step says so (`becausal.tool.converted`); an error that was passed on
as text is marked (`becausal.tool.is_error`).

Calls that reach no tool (an unknown name, arguments that are no JSON) are steps too: the model was told something.

Source: autogen-core 0.7.5 `tools/`, autogen-agentchat 0.7.5 `agents/_assistant_agent.py` (`_execute_tool_call`),
autogen-ext 0.7.5 `tools/mcp/_workbench.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from becausal import semconv
from becausal.adapter import Hooks
from becausal.context import current
from becausal.recorder import Observation, Opening, Recorder
from becausal.step import Cause, OpenStep, Status, StepRef
from becausal_integrations.autogen import describe, replayed
from becausal_integrations.autogen.hooking import noticed, observed
from becausal_integrations.autogen.ledger import Ledger, Notes, cause, notes_of, owns, remote
from becausal_integrations.patch import Notice, family, notice

if TYPE_CHECKING:
    from autogen_core import FunctionCall
    from autogen_core.models import FunctionExecutionResult

__all__ = ["MCP", "Tools"]

MCP = "autogen_ext.tools.mcp._workbench:McpWorkbench"


class Tools:
    """Describes the calls of tools, of workbenches and of code executors."""

    def __init__(self, recorder: Recorder, ledger: Ledger) -> None:
        self._recorder, self._ledger = recorder, ledger
        self._tool = Observation(self._called, self._returned, self._failed, answers=replayed.tool_result)
        # The last item of a tool's stream is its result; only the end shows which that was.
        self._stream = Observation(
            self._called, self._passed, self._failed, lambda item: True, answers=replayed.tool_items
        )
        self._bench = Observation(
            self._benched, self._handed_out, self._failed, answers=replayed.workbench_result
        )
        self._code = Observation(_executed, _exited, answers=replayed.tool_result)

    def hook(self, hooks: Hooks) -> None:
        """Hook tools, workbenches, code executors, and what an assistant does with a call before it reaches any."""
        seen = functools.partial(observed, self._recorder)
        worded = Notice(lambda tool, value: (tool, value), _worded)
        family(
            hooks,
            "autogen_core.tools._base:BaseTool",
            {
                "run_json": seen(self._tool),
                "run_json_stream": seen(self._stream),
                "return_value_as_string": noticed(self._recorder, worded),
            },
        )
        # `call_tool_stream` is left out: AutoGen calls it of `StaticStreamWorkbench` alone, whose tools tell.
        family(hooks, "autogen_core.tools._workbench:Workbench", {"call_tool": seen(self._bench)})
        family(
            hooks,
            "autogen_core.code_executor._base:CodeExecutor",
            {"execute_code_blocks": seen(self._code)},
        )
        notice(
            self._recorder,
            hooks,
            "autogen_agentchat.agents._assistant_agent:AssistantAgent._execute_tool_call",
            Notice(_before_execution, self._after_execution),
        )
        notice(
            self._recorder,
            hooks,
            "mcp.client.session:ClientSession.call_tool",
            Notice(after=_answered_by_server),
        )

        notice(
            self._recorder,
            hooks,
            f"{MCP}.list_tools",
            Notice(lambda workbench, *_, **__: workbench, self._listed),
        )

    def _listed(self, workbench: Any, tools: Any, error: BaseException | None) -> None:
        """Keep which tools a server had: in a replay it is not asked, and a model that is asked live must be told."""
        here = current()
        name = describe.server_name(workbench)
        if error is None and isinstance(here, OpenStep) and semconv.KEPT + name not in here.attributes:
            self._recorder.keep(here, name, tools)

    # A tool

    def _called(
        self,
        tool: Any,
        args: Mapping[str, Any],
        cancellation_token: Any = None,
        call_id: str | None = None,
        **_: Any,
    ) -> Opening | None:
        here = current()
        if owns(here, tool):
            return None
        opening = self._opening(tool, tool.name, dict(args), call_id, here)
        if describe.runs_agents(tool):
            opening.attributes[semconv.RUNS_AGAIN] = True
        return opening

    def _opening(
        self, owner: object, name: str, received: object, call_id: str | None, here: StepRef | None
    ) -> Opening:
        turn = notes_of(here)
        decision = turn.decided.get(call_id) if turn is not None and call_id is not None else None
        causes: Sequence[Cause] = ()
        if decision is not None:
            causes = [cause(decision, "data", f"tool call {call_id}")]
        attributes = {semconv.TOOL_CALL_ID: call_id} if call_id is not None else None
        return Opening(
            "tool", name, received=received, causes=causes, attributes=Notes(owner, here, attributes)
        )

    def _returned(self, step: OpenStep, result: object) -> object:
        _done(step)
        self._recorder.keep(step, "answer", result, unless_sorted=True)
        return result

    def _passed(self, step: OpenStep, item: object) -> object:
        """Take an item of a stream for its result, until the next one shows that it was none."""
        notes = step.attributes
        if isinstance(notes, Notes) and semconv.RUNS_AGAIN not in notes:
            number = notes.content if isinstance(notes.content, int) else 0
            if number <= replayed.MOST_ITEMS:
                self._recorder.keep(step, f"item.{number}", item)
            notes.content = number + 1
        _done(step)
        return item

    def _failed(self, step: OpenStep, error: BaseException) -> Status | None:
        _done(step)
        return None

    # A workbench whose tools are elsewhere: on an MCP server, in the app's own code

    def _benched(
        self,
        workbench: Any,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        cancellation_token: Any = None,
        call_id: str | None = None,
        **_: Any,
    ) -> Opening | None:
        here = current()
        if owns(here, workbench) or describe.has_tool(workbench, name):
            return None
        return self._opening(workbench, name, dict(arguments or {}), call_id, here)

    def _handed_out(self, step: OpenStep, result: Any) -> object:
        _done(step)
        if getattr(result, "is_error", False):
            step.attributes[semconv.TOOL_IS_ERROR] = True
        raw = step.attributes.content if isinstance(step.attributes, Notes) else None
        if raw is None:
            return result
        self._recorder.keep(step, "answer", result)
        conversion = describe.server_conversion(raw)
        if conversion is not None:
            step.attributes[semconv.TOOL_CONVERTED] = conversion
        return raw

    # A call that an assistant makes: perhaps it reaches no tool

    def _after_execution(
        self, before: tuple[StepRef | None, StepRef | None], executed: Any, error: BaseException | None
    ) -> None:
        here, former = before
        turn = notes_of(here)
        if turn is None or error is not None:
            return
        call: FunctionCall = executed[0]
        result: FunctionExecutionResult = executed[1]
        if not result.is_error or turn.done.get(call.id) is not former:
            return
        opening = self._opening(object(), call.name, call.arguments, call.id, here)
        opening.attributes[semconv.TOOL_IS_ERROR] = True
        step = self._recorder.begin(opening)
        if step is not None:
            _done(step)
            self._recorder.end(step, result.content, status="error")


def _done(step: OpenStep) -> None:
    """Note in the turn which step a call became: the model's next call is caused by it."""
    notes = step.attributes
    turn = notes_of(notes.within) if isinstance(notes, Notes) else None
    call_id = notes.get(semconv.TOOL_CALL_ID)
    if turn is not None and isinstance(call_id, str):
        turn.done = {**turn.done, call_id: remote(step)}


def _worded(made_of: tuple[object, object], text: Any, error: BaseException | None) -> None:
    """Note what became of a tool's result; AutoGen makes text of it while the tool is still at work."""
    tool, value = made_of
    notes = notes_of(current())
    conversion = describe.conversion(value, text)
    if conversion is not None and notes is not None and notes.owner is tool:
        notes[semconv.TOOL_CONVERTED] = conversion


def _before_execution(tool_call: FunctionCall, *_: Any, **__: Any) -> tuple[StepRef | None, StepRef | None]:
    here = current()
    turn = notes_of(here)
    return here, turn.done.get(tool_call.id) if turn is not None else None


def _answered_by_server(_: None, answer: Any, error: BaseException | None) -> None:
    """Keep what an MCP server answered, before the workbench that awaits it makes text of it."""
    notes = notes_of(current())
    if notes is not None and error is None:
        notes.content = answer


def _executed(executor: Any, code_blocks: Sequence[Any], *_: Any, **__: Any) -> Opening | None:
    here = current()
    if owns(here, executor):
        return None
    return Opening(
        "tool", type(executor).__name__, received=list(code_blocks), attributes=Notes(executor, here)
    )


def _exited(step: OpenStep, result: Any) -> object:
    if getattr(result, "exit_code", 0):
        step.attributes[semconv.TOOL_IS_ERROR] = True
    return result
