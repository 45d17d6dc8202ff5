"""The names of span attributes, pinned in one file.

`gen_ai.*` follows the OpenTelemetry semantic conventions for generative AI at
https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev (repository open-telemetry/semantic-conventions-genai,
revision fee465db). No package carries that registry, and every name in it is still in development, so a
rename is made here and nowhere else. `becausal.*` is ours, in the same grammar: dotted, lower case, never a
name that is both a leaf and a prefix, no value that is content.
"""

from __future__ import annotations

from typing import Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"

# GenAI semantic conventions
OPERATION_NAME: Final = "gen_ai.operation.name"
AGENT_NAME: Final = "gen_ai.agent.name"
AGENT_DESCRIPTION: Final = "gen_ai.agent.description"
WORKFLOW_NAME: Final = "gen_ai.workflow.name"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
PROVIDER_NAME: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_ID: Final = "gen_ai.response.id"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
TOOL_DESCRIPTION: Final = "gen_ai.tool.description"
TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_RESULT: Final = "gen_ai.tool.call.result"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
MEMORY_STORE: Final = "gen_ai.memory.store.id"
MEMORY_RECORD: Final = "gen_ai.memory.record.id"
TRANSFER_TARGET: Final = "gen_ai.transfer.target.name"
ERROR_TYPE: Final = "error.type"

# becausal
CHAIN_ID: Final = "becausal.chain.id"
NODE_ID: Final = "becausal.node.id"
STEP_KIND: Final = "becausal.step.kind"
STEP_SEQ: Final = "becausal.step.seq"
STREAM_ITEMS: Final = "becausal.stream.items"
STEP_STATUS: Final = "becausal.step.status"
HOP: Final = "becausal.hop"
CAUSE_IDS: Final = "becausal.cause.ids"
CAUSE_TYPES: Final = "becausal.cause.types"
LINK_TYPE: Final = "becausal.link.type"
LINK_GRADE: Final = "becausal.link.grade"
BELIEF_DIGEST: Final = "becausal.belief.digest"
INPUT_DIGEST: Final = "becausal.payload.input.digest"
INPUT_SIZE: Final = "becausal.payload.input.size"
OUTPUT_DIGEST: Final = "becausal.payload.output.digest"
OUTPUT_SIZE: Final = "becausal.payload.output.size"
TRANSFER_SOURCE: Final = "becausal.transfer.source.name"
TRANSFER_TARGET_OWN: Final = "becausal.transfer.target.name"
TRANSFER_EQUAL: Final = "becausal.transfer.equal"
TRANSFER_SENT_BY: Final = "becausal.transfer.sent_by"
TRANSFER_RECEIVED_BY: Final = "becausal.transfer.received_by"
TRANSFER_INTENDED: Final = "becausal.transfer.intended"
CONTRACT_ALLOWS: Final = "becausal.contract.allows"
CONTRACT_BREACHES: Final = "becausal.contract.breaches"
CHECKS: Final = "becausal.checks"
ATTEMPT: Final = "becausal.attempt"
CACHED: Final = "becausal.cached"
STOP_REASON: Final = "becausal.stop_reason"
ROUTE_CANDIDATES: Final = "becausal.route.candidates"
ROUTE_BY: Final = "becausal.route.by"
ROUTE_FALLBACK: Final = "becausal.route.fallback"
TOOL_CONVERTED: Final = "becausal.tool.converted"
TOOL_IS_ERROR: Final = "becausal.tool.is_error"
TOOL_ARTIFACT: Final = "becausal.tool.artifact"
TOOL_CALL_IDS: Final = "becausal.tool_call.ids"
CONTEXT_STORED: Final = "becausal.context.stored"
CONTEXT_SEEN: Final = "becausal.context.seen"
CONTEXT_EVICTED: Final = "becausal.context.evicted"
MEMORY_VERSION: Final = "becausal.memory.version"
MEMORY_OPERATION: Final = "becausal.memory.operation"
MEMORY_AS_OF: Final = "becausal.memory.as_of"
MEMORY_EVENT: Final = "becausal.memory.event"
MEMORY_LATEST: Final = "becausal.memory.latest"
MEMORY_SEEN: Final = "becausal.memory.seen"
STATE_READ: Final = "becausal.state.read"
STATE_WRITTEN: Final = "becausal.state.written"
SAID_BY: Final = "becausal.said_by"
RECORDED_BY: Final = "becausal.recorded_by"
PACKAGES: Final = "becausal.packages"
MUTATED: Final = "becausal.payload.mutated"
DECISION_CONCLUSION: Final = "becausal.decision.conclusion"
CONFIDENCE_SCORE: Final = "becausal.confidence.score"
CONFIDENCE_METHOD: Final = "becausal.confidence.method"
IMPORT_DIALECTS: Final = "becausal.import.dialects"
IMPORT_NOTES: Final = "becausal.import.notes"
IMPORT_INDEX: Final = "becausal.import.index"

REPLAY_OF: Final = "becausal.replay.of"
LEVEL: Final = "becausal.level"

# The store's own, on no span
KEPT: Final = "kept."
"""How the attributes begin that name, by digest, what else was kept of a step: for a replay."""
BRANCH: Final = "place.branch"
"""Which of several steps of one name, made side by side, a step is."""

# What crosses a wire: our member of W3C's tracestate and the header of our own propagator, and W3C baggage keys
HEADER: Final = "becausal"
BAGGAGE_CHAIN: Final = "becausal.chain.id"
BAGGAGE_STEP: Final = "becausal.node.id"
BAGGAGE_SEQ: Final = "becausal.step.seq"
BAGGAGE_HOP: Final = "becausal.hop"

MAX_ATTRIBUTE_BYTES: Final = 2000
"""No attribute of ours is longer: Grafana Tempo cuts strings at 2,048 bytes by default."""
