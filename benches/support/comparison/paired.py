"""The ratio of two proxies, round by round.

Both were measured within seconds of each other in every round, so what drifts on the machine
drifts for both, and the ratio of a round knows less of it than either figure. The median of those
ratios is what is judged, and an interval around it says how well it is known: the order
statistics that hold the true median with at least 95 % (binomial, no distribution assumed).
"""

from math import comb
from statistics import median

CONFIDENCE = 0.95


def ratios(own_cells, peer_cells, measure):
    """One for each round in which both were measured; disturbed rounds only if there are no others."""
    pairs = [
        (own, peer)
        for own, peer in zip(own_cells, peer_cells)
        if own.get(measure) is not None and peer.get(measure)
    ]
    undisturbed = [p for p in pairs if not (p[0]["disturbed"] or p[1]["disturbed"])]
    return [own[measure] / peer[measure] for own, peer in undisturbed or pairs]


def middle(values):
    """(median, low, high); the interval is the whole range where the rounds are too few for less."""
    ordered = sorted(values)
    cut = outer_ranks(len(ordered))
    return median(ordered), ordered[cut], ordered[-1 - cut]


def outer_ranks(count):
    """How many values may be left out at either end so that the rest still holds the median."""
    allowed = (1 - CONFIDENCE) / 2
    cut = 0
    while below(count, cut + 1) <= allowed:
        cut += 1
    return cut


def below(count, rank):
    """How likely at most `rank` of `count` values are below their true median."""
    return sum(comb(count, k) for k in range(rank + 1)) / 2**count
