"""Experiments of shapes that a page must stand, and what no name may do to it."""

from tests.report.marts import Shape

HOSTILE = (
    "<script>hacked = 1; alert(1)</script>",
    "\"><img src=x onerror='hacked = 1'>",
    "'; hacked = 1; //",
    "</style></script><b>bold</b>",
    "{{ 7 * 7 }} cell:0: ${hacked = 1} &lt;",
    "javascript:hacked=1",
    "\u202egnp.exe \u2066\u05e9\u05dc\u05d5\u05dd\u2069",
    "n" * 300,
    "long words " * 27,
)

METRIC_TYPES = (
    ("conversion", "events"),
    ("sum", "revenue"),
    ("count", "events"),
    ("ratio", "value"),
)

SHAPES = {
    "usual": Shape("1001"),
    "empty": Shape("1002", name=None, variations={}, metrics=(), days=0),
    "one_variation": Shape("1003", variations={"11": "Only"}),
    "no_metric": Shape("1004", name="Nothing measured", metrics=(), segments=()),
    "twenty_variations": Shape(
        "1005",
        name="Twenty variations",
        variations={str(n): f"Variation {n}" if n % 2 else None for n in range(11, 31)},
        segments=(),
    ),
    "two_hundred_metrics": Shape(
        "1006",
        name="Two hundred metrics",
        variations={"11": "Original", "12": "Blue", "13": "Green"},
        metrics=[
            (
                f"metric {n}",
                *METRIC_TYPES[n % 4],
                "primary" if n == 0 else "secondary" if n < 20 else "automatic",
            )
            for n in range(200)
        ],
        segments=(),
        days=3,
    ),
    "split_is_wrong": Shape(
        "1007",
        fails=("sample_ratio", "sample_ratio_sequential"),
        decided_by="fixed_horizon, holm",
    ),
    "hostile": Shape(
        "../<hostile>\"'&",
        name=HOSTILE[0],
        variations={f"{n}{name[:20]}": name for n, name in enumerate(HOSTILE)},
        metrics=[
            (f"{name} {number}", "conversion", "events", "secondary")
            for number, name in enumerate(HOSTILE)
        ]
        + [(f"funnel {HOSTILE[0]}", "funnel", None, "primary")],
        segments=[(HOSTILE[1], HOSTILE[0])],
        days=2,
        steps=("exposed", *HOSTILE),
    ),
}
