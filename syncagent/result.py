"""What a run gives: at its end, while it comes, and as a stream of events."""

from .response_stream import AgentStream
from .result_tools import FinalResult, ResultDataT, ResultValidatorFunc
from .run_result import AgentRunResult
from .streamed import RunEvents, StreamedRunResult

__all__ = [
    "AgentRunResult",
    "AgentStream",
    "FinalResult",
    "ResultDataT",
    "ResultValidatorFunc",
    "RunEvents",
    "StreamedRunResult",
]
