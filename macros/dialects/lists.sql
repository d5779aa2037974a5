{# A list of values, each written in SQL. #}
{% macro list_of(values) %}
    {{- adapter.dispatch('list_of', 'optimizely_e3')(values) -}}
{% endmacro %}

{% macro default__list_of(values) %}[{{ values | join(', ') }}]{% endmacro %}

{% macro spark__list_of(values) %}array({{ values | join(', ') }}){% endmacro %}

{#
    What macros below are made of, for each engine: the elements of a list that satisfy a condition,
    and an expression over these; NULL for a NULL list. Both speak of the element as `element`.
#}
{% macro default__elements_where(list, condition) %}
    list_filter({{ list }}, lambda element: {{ condition }})
{%- endmacro %}

{% macro spark__elements_where(list, condition) %}
    filter({{ list }}, element -> {{ condition }})
{%- endmacro %}

{% macro default__values_where(list, expression, condition) %}
    list_transform(
        {{ optimizely_e3.default__elements_where(list, condition) }}, lambda element: {{ expression }}
    )
{%- endmacro %}

{% macro spark__values_where(list, expression, condition) %}
    transform(
        {{ optimizely_e3.spark__elements_where(list, condition) }}, element -> {{ expression }}
    )
{%- endmacro %}

{#
    Whether any element of a list satisfies a condition; NULL for a NULL list.
    `condition` speaks of the element as `element`.
#}
{% macro any_element(list, condition) %}
    {{- adapter.dispatch('any_element', 'optimizely_e3')(list, condition) -}}
{% endmacro %}

{% macro default__any_element(list, condition) %}
    (len({{ optimizely_e3.default__elements_where(list, condition) }}) > 0)
{%- endmacro %}

{% macro spark__any_element(list, condition) %}
    exists({{ list }}, element -> {{ condition }})
{%- endmacro %}

{# How many elements of a list satisfy a condition, which speaks of the element as `element`. #}
{% macro count_elements(list, condition) %}
    {{- adapter.dispatch('count_elements', 'optimizely_e3')(list, condition) -}}
{% endmacro %}

{% macro default__count_elements(list, condition) %}
    len({{ optimizely_e3.default__elements_where(list, condition) }})
{%- endmacro %}

{% macro spark__count_elements(list, condition) %}
    size({{ optimizely_e3.spark__elements_where(list, condition) }})
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

{# The greatest element of a list that is not greater than `limit`; NULL where there is none. #}
{% macro greatest_element_up_to(list, limit) %}
    {{- adapter.dispatch('greatest_element_up_to', 'optimizely_e3')(list, limit) -}}
{% endmacro %}

{% macro default__greatest_element_up_to(list, limit) %}
    list_max({{ optimizely_e3.default__elements_where(list, 'element <= ' ~ limit) }})
{%- endmacro %}

{% macro spark__greatest_element_up_to(list, limit) %}
    array_max({{ optimizely_e3.spark__elements_where(list, 'element <= ' ~ limit) }})
{%- endmacro %}

{# In a select list: one row for each whole number from 1 to `last`. #}
{% macro each_number_to(last) %}
    {{- adapter.dispatch('each_number_to', 'optimizely_e3')(last) -}}
{% endmacro %}

{% macro default__each_number_to(last) %}unnest(range(1, {{ last }} + 1)){% endmacro %}

{% macro spark__each_number_to(last) %}explode(sequence(1, {{ last }})){% endmacro %}

{# The list of the whole numbers from 1 to `last`; empty where that is 0. #}
{% macro numbers_to(last) %}
    {{- adapter.dispatch('numbers_to', 'optimizely_e3')(last) -}}
{% endmacro %}

{% macro default__numbers_to(last) %}range(1, {{ last }} + 1){% endmacro %}

{% macro spark__numbers_to(last) %}slice(sequence(0, {{ last }}), 2, {{ last }}){% endmacro %}

{# The elements of a list of text, with `separator` between them. #}
{% macro joined_text(list, separator) %}
    {{- adapter.dispatch('joined_text', 'optimizely_e3')(list, separator) -}}
{% endmacro %}

{% macro default__joined_text(list, separator) %}
    array_to_string({{ list }}, {{ separator }})
{%- endmacro %}

{% macro spark__joined_text(list, separator) %}array_join({{ list }}, {{ separator }}){% endmacro %}

{#
    The first element of a list that satisfies a condition, which speaks of it as `element`; NULL
    where there is none.
#}
{% macro first_element(list, condition) %}
    {{- adapter.dispatch('first_element', 'optimizely_e3')(list, condition) -}}
{% endmacro %}

{% macro default__first_element(list, condition) %}
    ({{ optimizely_e3.default__elements_where(list, condition) }})[1]
{%- endmacro %}

{% macro spark__first_element(list, condition) %}
    get({{ optimizely_e3.spark__elements_where(list, condition) }}, 0)
{%- endmacro %}

{# The sum of an expression over a list of numbers; the expression speaks of each as `element`. #}
{% macro sum_over(list, expression) %}
    {{- adapter.dispatch('sum_over', 'optimizely_e3')(list, expression) -}}
{% endmacro %}

{% macro default__sum_over(list, expression) %}
    list_sum(list_transform({{ list }}, lambda element: {{ expression }}))
{%- endmacro %}

{% macro spark__sum_over(list, expression) %}
    aggregate(
        {{ list }}, cast(0 as double), (total, element) -> total + {{ expression }}
    )
{%- endmacro %}

{#
    The different values of an expression over the elements of a list that satisfy a condition, as a
    list; NULL for a NULL list. Both speak of the element as `element`.
#}
{% macro distinct_over(list, expression, condition) %}
    {{- adapter.dispatch('distinct_over', 'optimizely_e3')(list, expression, condition) -}}
{% endmacro %}

{% macro default__distinct_over(list, expression, condition) %}
    list_distinct({{ optimizely_e3.default__values_where(list, expression, condition) }})
{%- endmacro %}

{% macro spark__distinct_over(list, expression, condition) %}
    array_distinct({{ optimizely_e3.spark__values_where(list, expression, condition) }})
{%- endmacro %}

{#
    The least value of an expression over the elements of a list that satisfy a condition; NULL where
    there is none. Both speak of the element as `element`.
#}
{% macro least_over(list, expression, condition) %}
    {{- adapter.dispatch('least_over', 'optimizely_e3')(list, expression, condition) -}}
{% endmacro %}

{% macro default__least_over(list, expression, condition) %}
    list_min({{ optimizely_e3.default__values_where(list, expression, condition) }})
{%- endmacro %}

{% macro spark__least_over(list, expression, condition) %}
    array_min({{ optimizely_e3.spark__values_where(list, expression, condition) }})
{%- endmacro %}
