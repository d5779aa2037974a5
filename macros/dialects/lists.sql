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

{#
    In a select list: one row for each element of a list column; a row without elements falls out.
    Not a lateral join: DuckDB carries every column of the row through one, and takes ten times as
    long.
#}
{% macro each_element(list) %}
    {{- adapter.dispatch('each_element', 'optimizely_e3')(list) -}}
{% endmacro %}

{% macro default__each_element(list) %}unnest({{ list }}){% endmacro %}

{% macro spark__each_element(list) %}explode({{ list }}){% endmacro %}

{#
    The first element of a sorted list, and of the others each that is more than `distance` past the
    one before it that was taken. The list must have an element.
#}
{% macro spaced_elements(list, distance) %}
    {{- adapter.dispatch('spaced_elements', 'optimizely_e3')(list, distance) -}}
{% endmacro %}

{% macro default__spaced_elements(list, distance) %}
    list_reduce(
        list_transform({{ list }}, lambda element: [element]),
        lambda taken, element:
            case when element[1] > taken[-1] + {{ distance }} then taken || element else taken end
    )
{%- endmacro %}

{% macro spark__spaced_elements(list, distance) %}
    aggregate(
        {{ list }},
        slice({{ list }}, 1, 1),
        (taken, element) ->
            case
                when element > element_at(taken, -1) + {{ distance }} then taken || array(element)
                else taken
            end
    )
{%- endmacro %}
