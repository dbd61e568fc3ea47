"""Draws curves as SVG, for the tables beside this file. Standard library only."""

from pathlib import Path

from lines import minus

COLOURS = ["#1b6ca8", "#c0392b", "#27ae60", "#8e44ad", "#d68910", "#16a085", "#7f8c8d", "#2c3e50"]
WIDTH, HEIGHT = 640, 380
LEFT, TOP, RIGHT, BOTTOM = 60, 20, 190, 45


def draw(path, curves, places, x_label, y_label, dashed=(), bounds=None):
    """Writes the plot.

    `curves`: name -> values, one for each of `places`, None where there is none. `places`: (x, label) of each value. `dashed`: names
    of curves that are drawn so. `bounds`: lowest and highest value of the y axis, by default a little beyond those that occur.
    """
    values = [value for of in curves.values() for value in of if value is not None]
    low, high = bounds or (min(values) - 0.5, max(values) + 0.5)
    first, last = places[0][0], places[-1][0]
    x = lambda place: LEFT + (WIDTH - LEFT - RIGHT) * (place - first) / ((last - first) or 1)
    y = lambda value: TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
           f'font-size="12"><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if (high - low) / step <= 12)
    for tick in range(int(low // step) * step, int(high) + 1, step):
        if low <= tick <= high:
            colour = "#888" if tick == 0 else "#ddd"
            out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="{colour}"/>')
            out.append(f'<text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{minus(str(tick))}</text>')
    for place, label in places:
        out.append(f'<text x="{x(place):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{label}</text>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{x_label}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    out.append(f'<text transform="translate(16 {middle}) rotate(-90)" text-anchor="middle">{y_label}</text>')
    for index, (name, of) in enumerate(curves.items()):
        points = " ".join(f"{x(place):.1f},{y(value):.1f}" for (place, _), value in zip(places, of) if value is not None)
        colour, dash = COLOURS[index % len(COLOURS)], ' stroke-dasharray="5 4"' if name in dashed else ""
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        at = TOP + 14 + 20 * index
        out.append(f'<line x1="{WIDTH - RIGHT + 14}" x2="{WIDTH - RIGHT + 34}" y1="{at - 4}" y2="{at - 4}" '
                   f'stroke="{colour}" stroke-width="2"{dash}/>')
        out.append(f'<text x="{WIDTH - RIGHT + 40}" y="{at}">{name}</text>')
    Path(path).write_text("\n".join(out + ["</svg>"]) + "\n")
