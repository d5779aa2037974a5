{#
    Whether any element of a list satisfies a condition; NULL for a NULL list.
    `condition` speaks of the element as `element`.
#}
{% macro any_element(list, condition) %}
    {{- adapter.dispatch('any_element', 'optimizely_e3')(list, condition) -}}
{% endmacro %}

{% macro default__any_element(list, condition) %}
    (len(list_filter({{ list }}, lambda element: {{ condition }})) > 0)
{%- endmacro %}

{% macro spark__any_element(list, condition) %}
    exists({{ list }}, element -> {{ condition }})
{%- endmacro %}

{# Joins each row with each struct of a list column, named `element`. Rows with no element fall out. #}
{% macro cross_join_elements(list) %}
    {{- adapter.dispatch('cross_join_elements', 'optimizely_e3')(list) -}}
{% endmacro %}

{% macro default__cross_join_elements(list) %}
    cross join unnest({{ list }}) as unnested (element)
{%- endmacro %}

{% macro spark__cross_join_elements(list) %}
    lateral view explode({{ list }}) unnested as element
{%- endmacro %}
