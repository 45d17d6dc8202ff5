"""What a recorder keeps of its steps: payloads sealed, and steps on their way to the store, if there is one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from becausal import guard, semconv
from becausal.bounds import MAX_PAYLOAD_BYTES
from becausal.canonical import Encoder
from becausal.checking import CHECKED, Checks
from becausal.cleaning import clean
from becausal.errors import StoreError
from becausal.observation import Sealed
from becausal.sealing import Sealer
from becausal.settings import Capture
from becausal.step import OpenStep, RemoteStep
from becausal.store import Store
from becausal.writer import Writer

if TYPE_CHECKING:  # who records without ever switching on need not wait for it
    from becausal.redaction.redactor import Redactor

__all__ = ["REDACTED", "Keeping"]

REDACTED: Final = "redacted "
"""How the counts of what was redacted begin, before the kind: a store keeps them beside those of what was lost."""

MOST_CHAINS: Final = 1024
"""Chains of which it is remembered that a step says the key of the markers."""

LACKING = {
    "becausal.recorder.Recorder.opened": "step not recorded",
    **{
        f"becausal.telemetry.Telemetry.{name}": "span not told" for name in ("open", "whole", "link", "close")
    },
}
"""What a failure of a place leaves out, where that is not a part of a step."""


class Keeping:
    """Seals what steps received and produced, and brings steps to the store."""

    def __init__(
        self,
        writer: Writer | None,
        *,
        capture: Capture,
        holds_whole: bool,
        redact: Redactor | None,
        max_bytes: int | None = MAX_PAYLOAD_BYTES,
    ) -> None:
        """Make one.

        Args:
            writer: brings steps to the store; None where there is none.
            capture: what of their contents is kept.
            holds_whole: whether every payload must be readable before it is there.
            redact: takes the secrets out of all that is kept and told; None: nothing does.
            max_bytes: of a larger payload its beginning and its end are kept; None: no bound.
        """
        self.active = True
        """False once uninstrumented: hooks that could not be taken out call through."""
        self._writer = writer
        self.losses = 0
        """How often something handed out was found not to be kept: what was sealed before may lack its parts."""
        guard.keepers.add(self)
        keeps_bodies = capture == "full" and writer is not None
        self._sealer = Sealer(
            keeps_bodies=keeps_bodies, holds_whole=holds_whole, redact=redact, max_bytes=max_bytes
        )
        self.seal = self._sealer.seal
        """Fixes a value as it is now."""
        self.seal_message, self.seal_list = self._sealer.seal_message, self._sealer.seal_list
        """Fix a message that is going to stand in lists, and such a list."""
        self.kept = self._sealer.kept
        """Fixes a value as it is now with its dicts in their order, for `keep`."""
        self._withholds = capture == "digest"  # content, in whatever words
        self._redact = redact
        self._marked_by: str | None = None
        """What tells the key of the markers from others; None while there is none."""
        self._says_key: set[str] = set()
        """Chains of which a step says it."""
        self.clean: Callable[[OpenStep], object] = _kept if redact is None else partial(clean, redact=redact)
        """Takes the secrets out of what a step says of itself."""
        self._checks = None
        if writer is not None:
            self._checks = Checks(writer, self.count_gap, self.clean, keeps_bodies=keeps_bodies)
        if redact is not None:
            redact.on_failure = self.count_gap
            redact.on_found = self._note_redacted

    # -- payloads

    @property
    def withholds_content(self) -> bool:
        """Whether no content may be kept, in whatever words: names stay, what was said or stored does not."""
        return self._withholds

    @property
    def encoder(self) -> Encoder:
        """Remembers which parts it handed out."""
        return self._sealer.encoder

    def forget(self, digests: Collection[bytes] | None = None) -> None:
        """Hand out again what was lost: all parts, or those that bear some digests."""
        self.encoder.forget(digests)
        self.losses += 1  # not before: what is sealed in between would be taken for sealed after it

    def receive(self, step: OpenStep, value: object) -> None:
        """Seal what a step received."""
        sealed = self.seal(value)
        step.received = sealed.payload
        step.bodies.extend(sealed.bodies)

    def produce(self, step: OpenStep, value: object) -> None:
        """Seal what a step produced."""
        if CHECKED.get(step.kind) and self._checks is not None:
            self._checks.produced(step, value)
        sent = step.received if step.kind == "handoff" else None
        if sent is not None and type(value) is not Sealed and self._sealer.is_again(sent, step.bodies, value):
            step.produced = sent  # as nearly always: what was received is what was sent
            return
        sealed = self.seal(value)
        step.produced = sealed.payload
        step.bodies.extend(sealed.bodies)

    def keep(self, step: OpenStep, name: str, value: object, *, unless_sorted: bool = False) -> None:
        """Seal what a replay needs of a step beside what it received and produced.

        The value goes to the store, its dicts in their order, and its digest to the attribute `kept.<name>`.

        Args:
            step: the step.
            name: `answer` is what its answer is made of again, where its payload alone does not tell; other names are
                the adapter's own.
            value: anything, or what `kept` fixed.
            unless_sorted: keep nothing where its payload says the same, since the keys of its dicts are in order.
        """
        kept = value if isinstance(value, Sealed) else self.kept(value, unless_sorted=unless_sorted)
        if kept is not None:
            step.attributes[semconv.KEPT + name] = kept.payload.digest
            step.bodies.extend(kept.bodies)

    # -- secrets

    @property
    def redact(self) -> Redactor | None:
        """What takes the secrets out of all that is kept; None: nothing does."""
        return self._redact

    def shown(self, text: str) -> str:
        """Return a text as it may be kept or told."""
        return text if self._redact is None else self._redact.text(text)

    def _say_key(self, step: OpenStep) -> None:
        """Have a step say which key the markers are made under, if none of its chain does; the first one always."""
        if self._marked_by is None or (step.parent_id is not None and step.chain_id in self._says_key):
            return
        step.attributes[semconv.REDACTION_KEY] = self._marked_by
        if len(self._says_key) >= MOST_CHAINS:
            self._says_key.clear()
        self._says_key.add(step.chain_id)

    def _note_redacted(self, kinds: Counter[str]) -> None:
        if self._marked_by is None and self._redact is not None:
            self._marked_by = self._redact.key_id
        if self._writer is not None:
            for kind, times in kinds.items():
                self._writer.count_gap(REDACTED + kind, times)

    # -- the store

    @property
    def store(self) -> Store | None:
        """Where steps go; None where there is no store."""
        return None if self._writer is None else self._writer.store

    def write(self, step: OpenStep, *, is_clean: bool = False) -> None:
        """Bring a step that has ended to the store; what is there of the same id is completed by it.

        Args:
            is_clean: whether the secrets have been taken out of what it says.
        """
        if self._writer is not None and self._checks is not None:
            if not is_clean:
                self.clean(step)
            self._writer.put(step)
            if CHECKED.get(step.kind):
                self._checks.ended(step)

    def anchored(self, name: str) -> RemoteStep | None:
        """Return the step that was given a name to go on from, by whichever process wrote to this store.

        Asks the store, on the caller's thread: for a rare event, such as the resumption of an interrupted run.
        """
        store = self.store
        try:
            return None if store is None or not self.active else store.anchored(name)
        except StoreError:  # down, or of a reader's rights: a join the fewer
            self.count_gap("anchor not looked up")
            return None

    @property
    def gaps(self) -> Mapping[str, int]:
        """What this process could not record, by reason."""
        if self._writer is None:
            return {}
        return {
            reason: count for reason, count in self._writer.gaps.items() if not reason.startswith(REDACTED)
        }

    @property
    def redacted(self) -> Mapping[str, int]:
        """How many values of which kinds this process redacted."""
        counts = {} if self._writer is None else dict(self._writer.gaps)
        return {
            reason[len(REDACTED) :]: count for reason, count in counts.items() if reason.startswith(REDACTED)
        }

    @property
    def waiting(self) -> int:
        """How many steps are on their way to the store."""
        return 0 if self._writer is None else self._writer.waiting

    def failed(self, place: str) -> None:
        """Count a failure of ours as what it leaves out of the record, given the place that `guard` names."""
        self.count_gap(LACKING.get(place, "recorded in part"))

    def count_gap(self, reason: str) -> None:
        """Count something that could not be recorded."""
        if self._writer is not None:
            self._writer.count_gap(reason)


def _kept(_: OpenStep) -> None:
    """Stand for `clean` where nothing is redacted."""
