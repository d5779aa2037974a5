{#
    The metrics that every event is by itself: what each is called, and its value in a row of
    int_event_observations.
#}
{% macro automatic_metrics() %}
    {{- return([
        {'measure': 'unique conversions', 'value': '1'},
        {'measure': 'total conversions', 'value': 'conversion_count'},
        {'measure': 'revenue', 'value': 'revenue_cents'},
        {'measure': 'value', 'value': 'value'},
    ]) -}}
{% endmacro %}
