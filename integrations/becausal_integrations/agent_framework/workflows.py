"""Runs of workflows, and what a run goes on from: answers from outside, checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from becausal.context import current
from becausal.recorder import NOTHING, Observation, Opening, Recorder
from becausal.step import OpenStep, StepRef
from becausal_integrations.agent_framework import describe
from becausal_integrations.agent_framework.ledger import Checkpoint, Ledger, Notes, cause, owns
from becausal_integrations.agent_framework.messages import told
from becausal_integrations.identity import ByIdentity
from becausal_integrations.patch import Notice

__all__ = ["Workflows", "request_name"]


class Workflows:
    """Says what a workflow's run means, and the saving and loading of its state."""

    def __init__(self, recorder: Recorder, ledger: Ledger) -> None:
        self._recorder, self._ledger = recorder, ledger
        self._waiting: ByIdentity[StepRef] = ByIdentity()
        """Runs that wait, by workflow: a functional one merely counts its requests (`auto::0`)."""
        self.run = Observation(self._begun, self._ended, keeps=lambda result: True)
        self.asking = Notice(self._asking)
        self.saving = Notice(self._saving, self._saved)
        self.restoring = Notice(lambda context, checkpoint: (context, checkpoint), self._restored)

    def _begun(
        self,
        workflow: Any,
        message: Any = None,
        *_: Any,
        responses: Mapping[str, Any] | None = None,
        checkpoint_id: str | None = None,
        **__: Any,
    ) -> Opening | None:
        here = current()
        if owns(here, workflow):
            return None
        given = message if message is not None else responses
        received = NOTHING if given is None else told(given)
        name = describe.workflow_name(workflow)
        opening = Opening("workflow", name, received=received, attributes=Notes(workflow))
        goes_on_from = list(self._goes_on_from(responses or {}, checkpoint_id))
        waiting = self._waiting.pop(workflow)
        if responses and not goes_on_from and waiting is not None:
            goes_on_from = [(waiting, "the same workflow, which waits")]
        if goes_on_from:
            opening.causes = [cause(step, "resume", evidence) for step, evidence in goes_on_from]
            opening.chain_id = goes_on_from[0][0].chain_id if here is None else None
        return opening

    def _goes_on_from(
        self, responses: Mapping[str, Any], checkpoint_id: str | None
    ) -> Iterator[tuple[StepRef, str]]:
        """Yield who asked for the answers that a run brings, and who saved the state that it loads."""
        for request_id in responses:
            evidence = request_name(request_id)
            asked = self._ledger.requests.get(request_id) or self._recorder.anchored(evidence)
            if asked is not None:
                yield asked, evidence
        if checkpoint_id is not None:
            evidence = _checkpoint_name(checkpoint_id)
            saved = self._ledger.checkpoints.get(checkpoint_id)
            step = saved.step if saved is not None else self._recorder.anchored(evidence)
            if step is not None:
                yield step, evidence

    def _ended(self, step: OpenStep, result: Any) -> object:
        if describe.waits(result):
            workflow = step.attributes.owner if isinstance(step.attributes, Notes) else None
            if workflow is not None:
                self._waiting.put(workflow, step)
            self._recorder.end(step, describe.outputs(result), status="interrupted")
            return NOTHING
        return describe.outputs(result)

    # Requests for an answer from outside

    def _asking(self, _: Any, event: Any) -> None:
        step = current()
        if isinstance(step, OpenStep):
            self._ledger.requests.put(event.request_id, step)
            step.anchor(request_name(event.request_id))

    # Checkpoints

    def _saving(self, context: Any, *_: Any, **__: Any) -> Any:
        return context

    def _saved(self, context: Any, checkpoint_id: str | None, error: BaseException | None) -> None:
        step = current()
        if context is None or checkpoint_id is None or not isinstance(step, OpenStep):
            return
        step.anchor(_checkpoint_name(checkpoint_id))
        on_their_way = {
            source: [self._ledger.carriers.get(message) for message in messages]
            for source, messages in getattr(context, "_messages", {}).items()
        }
        self._ledger.checkpoints.put(checkpoint_id, Checkpoint(step, on_their_way))

    def _restored(self, token: Any, _: None, error: BaseException | None) -> None:
        """Know the messages of a checkpoint again, which storage may have made anew."""
        if token is None or error is not None:
            return
        context, checkpoint = token
        saved = self._ledger.checkpoints.get(checkpoint.checkpoint_id)
        for source, carriers in {} if saved is None else saved.on_their_way.items():
            messages = getattr(context, "_messages", {}).get(source, ())
            for message, carrier in zip(messages, carriers, strict=False):
                if carrier is not None:
                    self._ledger.carriers.put(message, carrier)


def request_name(request_id: str) -> str:
    """Return the name by which a later process finds who asked."""
    return f"agent_framework request {request_id}"


def _checkpoint_name(checkpoint_id: str) -> str:
    return f"agent_framework checkpoint {checkpoint_id}"
