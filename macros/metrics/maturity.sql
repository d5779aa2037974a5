{#
    Whether an observation can no longer change: the metric's time after the exposure is over within
    the landed data. Speaks of int_data_end as `data_end`; `metrics` is what holds the metric's
    `maturity_microseconds`.
#}
{% macro is_mature(exposed_at, metrics) %}
    (
        {{ metrics }}.maturity_microseconds is null
        or coalesce(
            {{ optimizely_e3.microseconds_between(exposed_at, 'data_end.data_ends_at') }}
            > {{ metrics }}.maturity_microseconds,
            false
        )
    )
{%- endmacro %}
