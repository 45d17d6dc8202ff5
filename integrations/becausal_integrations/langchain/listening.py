"""What LangChain's callbacks tell, as steps: the bookkeeping behind `becausal.callback()`.

By run ids alone. Shared by all handlers of a recorder, so that two of them in one configuration count as one.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from becausal import semconv
from becausal.recorder import NOTHING, Opening, Recorder, Sealed
from becausal.redaction import beginning
from becausal.step import Cause, Choice, OpenStep, StepRef
from becausal_integrations.langchain.calls import Call, Calls
from becausal_integrations.langchain.describe import outcome, text_of_content
from becausal_integrations.langchain.heard import Root, Run, Runs
from becausal_integrations.langchain.models import Models
from becausal_integrations.langchain.runnables import SMALL, Runnables
from becausal_integrations.langchain.told import (
    SEND,
    Told,
    destinations,
    is_node,
    senders,
    thread_of,
    update_of,
)

__all__ = ["Listening", "listening_of"]


class Listening:
    """Opens and closes steps as LangChain's callbacks tell of runs."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder: Recorder = weakref.proxy(recorder)
        self._runs = Runs(self._recorder)
        self._calls, self._tries = Calls(), Runnables(self._recorder)
        self._models = Models(self._recorder, self._calls, self._tries, self._runs.step)

    # -- chains

    def chain_started(self, told: Told, inputs: Any, run_type: str | None) -> None:
        """Begin a workflow for an outermost run, an agent for a node; all other runs are looked through."""
        above = self._runs.above(told)
        if told in self._runs or (above is None and run_type in SMALL):
            return
        if above is None:
            own = self._recorder.begin(
                Opening("workflow", told.name, received=inputs, attributes=thread_of(told))
            )
            if own is not None:
                own.attributes[semconv.RECORDED_BY] = "callback"
            self._runs.keep(told, Run(Root(), own, own))
        elif is_node(told, above.namespace):
            self._runs.keep(told, self._node(told, above, inputs))
        else:
            self._runs.keep(told, Run(above.root, above.step, namespace=above.namespace))

    def chain_ended(self, told: Told, outputs: Any, inputs: Any) -> None:
        """End the step of a run, if it has one."""
        self._tries.ending(told)
        run = self._runs.take(told.run_id)
        if run is None or run.own is None:
            return
        if run.own.kind == "workflow" and inputs is not None:  # a stream's input is told when it is over
            self._recorder.receive(run.own, inputs)
        if run.superstep is not None and run.graph is not None:
            run.root.ran.setdefault((run.graph, run.superstep), []).append(run.own)
            run.root.ran.pop((run.graph, run.superstep - 2), None)
            self._decided(run.own, outputs)
            outputs = update_of(outputs)
        waits = run.own.kind == "workflow" and run.root.is_interrupted
        self._recorder.end(run.own, outputs, status="interrupted" if waits else None)

    def chain_failed(self, told: Told, error: BaseException) -> None:
        """End the step of a run that failed or was interrupted, if it has one."""
        self._tries.failing(told, error)
        run = self._runs.take(told.run_id)
        if run is not None and run.own is not None:
            status = outcome(error)
            run.root.is_interrupted |= status == "interrupted"
            self._recorder.end(run.own, error=error, status=status)

    def _node(self, told: Told, above: Run, inputs: Any) -> Run:
        metadata = told.metadata
        superstep, triggers = metadata.get("langgraph_step"), tuple(metadata.get("langgraph_triggers") or ())
        agent = str(metadata.get("lc_agent_name") or told.name)
        opening = Opening("agent", told.name, agent, inputs, parent=above.step)
        opening.attributes = {
            "langgraph.node": told.name,
            "langgraph.triggers": tuple(map(str, triggers)),
            **thread_of(told),
        }
        if isinstance(superstep, int) and told.parent_run_id is not None:
            opening.attributes["langgraph.step"] = superstep
            before = above.root.ran.get((told.parent_run_id, superstep - 1), [])
            self._arrive(opening, agent, senders(before, triggers), above.step, triggers)
        own = self._recorder.begin(opening)
        namespace = str(metadata.get("langgraph_checkpoint_ns", ""))
        return Run(above.root, own or above.step, own, namespace, superstep, told.parent_run_id)

    def _arrive(
        self,
        opening: Opening,
        agent: str,
        senders: Sequence[OpenStep],
        graph: StepRef | None,
        triggers: Sequence[str],
    ) -> None:
        """Lead a node to those that ran before it: by a handoff, or by an edge within one agent."""
        causes, handoffs = [], []
        for sender in senders:
            evidence = f"the superstep before; triggered by {', '.join(map(str, triggers))}"
            cause = Cause(sender.id, "transfer", "inferred", evidence, sender.span_context)
            if sender.agent == agent:
                causes.append(cause)
                continue
            sent = NOTHING if SEND in triggers or sender.produced is None else Sealed(sender.produced)
            handoff = self._recorder.handoff(
                sender.agent, agent, sent, sent_by=sender, parent=graph, cause=cause
            )
            if handoff is not None:
                handoffs.append(handoff)
        opening.causes, opening.arrivals = causes, handoffs

    def _decided(self, step: OpenStep, outputs: Any) -> None:
        """Note where a node's `Command` goes."""
        if places := destinations(outputs):
            self._recorder.decide(step, Choice(f"hand over to {', '.join(places)}"))

    # -- models

    def model_started(self, told: Told, serialized: Any, asked: Any, more: Mapping[str, Any]) -> None:
        """Begin a model call."""
        if told in self._runs:
            return
        self._runs.keep(told, self._runs.below(told))
        token = self._models.starting(
            told,
            serialized,
            asked,
            invocation_params=more.get("invocation_params"),
            options=more.get("options"),
        )
        self._models.started(token, [told], None)

    def model_ended(self, told: Told, response: Any) -> None:
        """End a model call with its answer."""
        self._runs.take(told.run_id)
        self._models.ending(told, response)

    def model_failed(self, told: Told, error: BaseException, response: Any) -> None:
        """End a model call that failed, or whose stream was left."""
        self._runs.take(told.run_id)
        self._models.failing(told, error, response)

    # -- tools

    def tool_started(self, told: Told, arguments: Any, tool_call_id: str | None) -> None:
        """Begin a tool call."""
        self._call(told, Opening("tool", told.name, received=arguments), tool_call_id)

    def retriever_started(self, told: Told, query: str) -> None:
        """Begin a retrieval."""
        attributes: dict[str, Any] = {semconv.OPERATION_NAME: "retrieval"}
        self._call(told, Opening("tool", told.name, received=query, attributes=attributes), None)

    def tool_ended(self, told: Told, output: Any) -> None:
        """End a tool call with its answer: a message's content and artifact, else the answer itself."""
        run = self._runs.take(told.run_id)
        if run is None or run.own is None:
            return
        step, status = run.own, getattr(output, "status", None)
        tool_call_id = getattr(output, "tool_call_id", None)
        if isinstance(tool_call_id, str) and semconv.TOOL_CALL_ID not in step.attributes:
            step.attributes[semconv.TOOL_CALL_ID] = tool_call_id  # langchain-core 0.3 tells it only here
            call = self._known(self._runs.above(told), tool_call_id)
            for cause in call.causes(tool_call_id) if call is not None else ():
                self._recorder.cause(step, cause)
        content, artifact = getattr(output, "content", output), getattr(output, "artifact", None)
        if status == "error":
            self._recorder.fail(step, beginning(text_of_content(content)), "ToolMessage")
        self._calls.made(step, "error" if status == "error" else "ok")
        produced = content if artifact is None else (content, artifact)
        self._recorder.end(step, produced, status="error" if status == "error" else None)

    def tool_failed(self, told: Told, error: BaseException) -> None:
        """End a tool call that failed or was interrupted."""
        run = self._runs.take(told.run_id)
        if run is not None and run.own is not None:
            ended = outcome(error)
            self._calls.made(run.own, ended or "error")
            self._recorder.end(run.own, error=error, status=ended)
            self._tries.failed(told.parent_run_id, run.own)

    def _call(self, told: Told, opening: Opening, tool_call_id: str | None) -> None:
        if told in self._runs:
            return
        run = self._runs.below(told)
        opening.parent = run.step
        if tool_call_id is not None:
            opening.attributes[semconv.TOOL_CALL_ID] = tool_call_id
            call = self._known(run, tool_call_id)
            if call is not None:
                opening.causes = call.causes(tool_call_id)
            if call is not None and call.next_attempt > 1:
                opening.attributes[semconv.ATTEMPT] = call.next_attempt
        run.own = self._recorder.begin(opening)
        run.step = run.own or run.step
        self._runs.keep(told, run)

    def _known(self, run: Run | None, tool_call_id: str) -> Call | None:
        holder = None if run is None else run.step
        return None if holder is None else self._calls.call(holder.chain_id, tool_call_id, holder)


_listening: weakref.WeakKeyDictionary[Recorder, Listening] = weakref.WeakKeyDictionary()


def listening_of(recorder: Recorder) -> Listening:
    """Return the bookkeeping of a recorder."""
    found = _listening.get(recorder)
    return found if found is not None else _listening.setdefault(recorder, Listening(recorder))
