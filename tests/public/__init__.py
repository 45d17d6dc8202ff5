"""Public runs that others recorded and labelled: everything loads, and what becausal says is put beside the labels.

    python -m tests.public --home DIR

The runs are not in this repository. DIR holds clones of theirs, or folders of the same files:

    Who&When       184 failed runs of CaptainAgent and Magentic-One, each labelled with the agent and the turn of the
                   decisive mistake. MIT. git clone https://github.com/ag2ai/Agents_Failure_Attribution
    tau-bench      200 runs of a single agent with tools (gpt-4o, airline), each with a reward of 0 or 1. MIT.
                   git clone https://github.com/sierra-research/tau-bench

This is information, not a target: nothing in becausal is fitted to these labels.
"""
