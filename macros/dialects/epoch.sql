{# Epoch milliseconds of a UTC timestamp, as a bigint. #}
{% macro epoch_milliseconds(timestamp) %}
    {{- adapter.dispatch('epoch_milliseconds', 'optimizely_e3')(timestamp) -}}
{% endmacro %}

{% macro default__epoch_milliseconds(timestamp) %}epoch_ms({{ timestamp }}){% endmacro %}

{% macro spark__epoch_milliseconds(timestamp) %}unix_millis({{ timestamp }}){% endmacro %}

{# Epoch microseconds of a UTC timestamp, as a bigint. #}
{% macro epoch_microseconds(timestamp) %}
    {{- adapter.dispatch('epoch_microseconds', 'optimizely_e3')(timestamp) -}}
{% endmacro %}

{% macro default__epoch_microseconds(timestamp) %}epoch_us({{ timestamp }}){% endmacro %}

{% macro spark__epoch_microseconds(timestamp) %}unix_micros({{ timestamp }}){% endmacro %}

{# Microseconds from one timestamp to another, as a bigint. #}
{% macro microseconds_between(earlier, later) %}
    {%- set start = optimizely_e3.epoch_microseconds(earlier) -%}
    {%- set finish = optimizely_e3.epoch_microseconds(later) -%}
    ({{ finish }} - {{ start }})
{%- endmacro %}

{# Seconds from one timestamp to another, as a double with fractions. #}
{% macro seconds_between(earlier, later) %}
    {%- set microseconds = optimizely_e3.microseconds_between(earlier, later) -%}
    (cast({{ microseconds }} as double) / cast(1000000 as double))
{%- endmacro %}
