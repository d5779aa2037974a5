{#
    A condition that every row meets, for a common table that is read several times. Spark computes
    a common table anew for each place that reads it, and what that table reads as often again;
    except one that may come out otherwise the next time.
#}
{% macro is_computed_once() %}
    {{- adapter.dispatch('is_computed_once', 'optimizely_e3')() -}}
{% endmacro %}

{% macro default__is_computed_once() %}true{% endmacro %}

{% macro spark__is_computed_once() %}rand() >= 0{% endmacro %}
