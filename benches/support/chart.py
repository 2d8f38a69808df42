"""Bars as SVG, drawn by hand: no library is needed to look at a result."""

from html import escape

WIDTH, BAR, GAP, LEFT = 760, 18, 6, 250
COLOURS = ("#3b6ea5", "#c1803a", "#5a9367", "#8a5a9e", "#a8484b")


def bars(title, unit, groups):
    """`groups` is [(what, [(who, value), ...]), ...]; one scale for each group."""
    names = []
    for _, rows in groups:
        names += [who for who, _ in rows if who not in names]
    lines, y = [], 40
    for what, rows in groups:
        most = max((value for _, value in rows), default=0) or 1
        lines.append(text(10, y + 12, what, "bold"))
        y += 20
        for who, value in rows:
            width = max(1, round(value / most * (WIDTH - LEFT - 110)))
            colour = COLOURS[names.index(who) % len(COLOURS)]
            lines.append(text(30, y + 13, who))
            lines.append(
                f'<rect x="{LEFT}" y="{y}" width="{width}" height="{BAR}" fill="{colour}"/>'
            )
            lines.append(text(LEFT + width + 8, y + 13, f"{value:,.4g} {unit}".strip()))
            y += BAR + GAP
        y += GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 10}" '
        f'font-family="sans-serif" font-size="13"><rect width="100%" height="100%" fill="white"/>'
    )
    return "\n".join([head, text(10, 24, title, "bold"), *lines, "</svg>", ""])


def curves(title, unit, series):
    """Latencies by percentile: `series` is [(who, [(percentile, value), ...]), ...]."""
    left, top, width, height = 70, 40, 660, 300
    places = ("p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99", "max")
    most = max((value for _, points in series for _, value in points), default=1) or 1
    lines = [text(10, 24, f"{title} ({unit})", "bold")]
    for index, place in enumerate(places):
        x = left + index * width // (len(places) - 1)
        lines.append(f'<line x1="{x}" y1="{top}" x2="{x}" y2="{top + height}" stroke="#ddd"/>')
        lines.append(text(x - 14, top + height + 18, place))
    for fraction in (0, 0.25, 0.5, 0.75, 1):
        y = top + height - round(fraction * height)
        lines.append(f'<line x1="{left}" y1="{y}" x2="{left + width}" y2="{y}" stroke="#ddd"/>')
        lines.append(text(8, y + 4, f"{fraction * most:,.3g}"))
    for number, (who, points) in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        known = dict(points)
        path = " ".join(
            f"{left + index * width // (len(places) - 1)},"
            f"{top + height - round(known[place] / most * height)}"
            for index, place in enumerate(places)
            if place in known
        )
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        lines.append(text(left + 10, top + 16 + 18 * number, who, "bold", colour))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 40}" '
        f'height="{top + height + 40}" font-family="sans-serif" font-size="13">'
        f'<rect width="100%" height="100%" fill="white"/>'
    )
    return "\n".join([head, *lines, "</svg>", ""])


def text(x, y, words, weight="normal", colour="#222"):
    return (
        f'<text x="{x}" y="{y}" font-weight="{weight}" fill="{colour}">{escape(str(words))}</text>'
    )
