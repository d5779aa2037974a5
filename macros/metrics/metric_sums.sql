{#
    Common tables that end in `metric_sums`: a row for each metric and combination of `keys`, with
    sums over `values`, rows of metrics that are not automatic, and over `events`, observations of
    events, which four automatic metrics are made of. These are added up by event first: each
    observation four times, under the name of each metric, would be dear.

    `sums` and `sums_of_denominators` are expressions by name. Those of `sums` speak of `%(now)s`
    and `%(before)s`; an automatic metric has no denominator.
#}
{% macro metric_sums(values, events, keys, sums, sums_of_denominators) %}
{%- set metrics = optimizely_e3.automatic_metrics() if var('automatic_metrics') else [] -%}
{%- if metrics -%}
event_sums as (
    select
        {%- for key in keys %}
        {{ key }},
        {%- endfor %}
        {%- for metric in metrics %}
        {%- set now = 'cast(' ~ metric.value | format('') ~ ' as double)' %}
        {%- set before = 'cast(' ~ metric.value | format('previous_') ~ ' as double)' %}
        {%- set number = loop.index %}
        {%- for name, sum in sums.items() %}
        {{ sum | format(now=now, before=before) }} as {{ name }}_{{ number }},
        {%- endfor %}
        {%- endfor %}
        event_key
    from {{ events }}
    group by {{ keys | join(', ') }}, event_key
),

{% endif -%}
metric_sums as (
    select
        {%- for key in keys %}
        {{ key }},
        {%- endfor %}
        {%- for name, sum in sums.items() %}
        {{ sum | format(now='value', before='previous_value') }} as {{ name }},
        {%- endfor %}
        {%- for name, sum in sums_of_denominators.items() %}
        {{ sum }} as {{ name }},
        {%- endfor %}
        metric_name
    from {{ values }}
    group by {{ keys | join(', ') }}, metric_name
    {%- for metric in metrics %}
    {%- set number = loop.index %}
    union all
    select
        {%- for key in keys %}
        {{ key }},
        {%- endfor %}
        {%- for name in sums %}
        {{ name }}_{{ number }} as {{ name }},
        {%- endfor %}
        {%- for name in sums_of_denominators %}
        cast(null as double) as {{ name }},
        {%- endfor %}
        event_key || ': {{ metric.measure }}' as metric_name
    from event_sums
    {%- endfor %}
)
{%- endmacro %}
