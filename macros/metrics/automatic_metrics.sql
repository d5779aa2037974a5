{#
    The metrics that every event is by itself: what each is called, its type, what it adds up, and
    its value in a row of int_event_observations, `%s` being what the column's name begins with.
#}
{% macro automatic_metrics() %}
    {{- return([
        {
            'measure': 'unique conversions',
            'metric_type': 'conversion',
            'added_up': 'events',
            'value': 'least(%sconversion_count, 1)',
        },
        {
            'measure': 'total conversions',
            'metric_type': 'count',
            'added_up': 'events',
            'value': '%sconversion_count',
        },
        {
            'measure': 'revenue',
            'metric_type': 'sum',
            'added_up': 'revenue',
            'value': '%srevenue_cents',
        },
        {
            'measure': 'value',
            'metric_type': 'sum',
            'added_up': 'value',
            'value': '%svalue',
        },
    ]) -}}
{% endmacro %}
