"""`becausal serve`: an OTLP/HTTP receiver, so that many processes share one store.

    becausal serve                                    # 127.0.0.1:4318, the default of every OTLP exporter
    OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 python app.py

It takes the spans of becausal and of everybody else (see `becausal.foreign`), in protobuf or JSON, and hands what came
on to another backend where one is named. A span is in memory when it is acknowledged, and in the store as soon as its
trace has been quiet for a moment; what is in memory is written when the server is told to stop.

Source: OTLP 1.9, "OTLP/HTTP".
"""

from becausal.serve.app import application
from becausal.serve.assembling import Assembler
from becausal.serve.forwarding import Forwarder
from becausal.serve.intake import Intake
from becausal.serve.running import run

__all__ = ["Assembler", "Forwarder", "Intake", "application", "run"]
