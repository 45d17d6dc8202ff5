"""A benchmark of faults: real LangGraph and AutoGen, pure fake models, faults put in from outside becausal.

python -m tests.faults --cases 300
python -m tests.faults --cases 300 --first-seed 100000      # seeds that nobody tuned to

world       what a run is about: values of many types, in many wordings, which models read and write
plan        who hears whom: chains, trees, diamonds, maps
app         what an app of either framework is made of, and where it may be meddled with
on_langgraph, on_autogen      the apps, on the real frameworks
kinds_*     the faults: what is put in, where, and what a perfect tool would say
clean       what must not alarm
playing     records one run and judges it
scoring     counts, beside trivial controls
"""
