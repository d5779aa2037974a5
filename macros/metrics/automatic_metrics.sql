{#
    The metrics that every event is by itself: what each is called, its type, what it adds up, and
    its value in a row of int_event_observations.
#}
{% macro automatic_metrics() %}
    {{- return([
        {
            'measure': 'unique conversions',
            'metric_type': 'conversion',
            'added_up': 'events',
            'value': '1',
        },
        {
            'measure': 'total conversions',
            'metric_type': 'count',
            'added_up': 'events',
            'value': 'conversion_count',
        },
        {
            'measure': 'revenue',
            'metric_type': 'sum',
            'added_up': 'revenue',
            'value': 'revenue_cents',
        },
        {
            'measure': 'value',
            'metric_type': 'sum',
            'added_up': 'value',
            'value': 'value',
        },
    ]) -}}
{% endmacro %}
