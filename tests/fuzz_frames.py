"""Fuzzing of the compiled parser with atheris, by hand: `python tests/fuzz_frames.py -h`.

Bytes of any kind, and mutations of real-shaped frames, must give the same event, or the same
kind of BadFrame, by the compiled parser with its fallback as by the parser of all JSON alone.
With NUMBA_DISABLE_JIT=1 the fuzzer sees the kernels' branches and finds its way through them;
the corpus it collects is then run through the compiled kernels. Needs atheris, which the project
does not install.
"""

import os
import sys

import atheris

# numba cannot compile what atheris has instrumented.
INTERPRETED = ["mmquant"] if os.environ.get("NUMBA_DISABLE_JIT") == "1" else []

with atheris.instrument_imports(include=["mm_collector", *INTERPRETED]):
    from mm_collector.frames import FrameReader
    from reference_frames import INSTRUMENTS, SEEDS, outcome_of, reference_outcome

READER = FrameReader()
for instrument in INSTRUMENTS.values():
    READER.add(instrument)
COUNTS = {"frames": 0, "compiled": 0}


def one_input(data: bytes) -> None:
    provider = atheris.FuzzedDataProvider(data)
    if provider.ConsumeBool():
        payload = provider.ConsumeBytes(len(data))
    else:
        frame = bytearray(SEEDS[provider.ConsumeIntInRange(0, len(SEEDS) - 1)])
        for _ in range(provider.ConsumeIntInRange(0, 4)):
            at = provider.ConsumeIntInRange(0, len(frame))
            end = at + provider.ConsumeIntInRange(0, 6)
            frame[at:end] = provider.ConsumeBytes(provider.ConsumeIntInRange(0, 6))
        payload = bytes(frame)
    before = READER.fallbacks
    found = outcome_of(READER, payload)
    COUNTS["frames"] += 1
    COUNTS["compiled"] += READER.fallbacks == before
    expected = reference_outcome(payload)
    if found != expected:
        raise AssertionError(f"{payload!r}: {found} instead of {expected}")
    if COUNTS["frames"] % 50_000 == 0:
        print(COUNTS, file=sys.stderr)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
