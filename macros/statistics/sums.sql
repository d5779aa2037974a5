{#
    Sum of a column of doubles in the order of their size: the last digit of a plain sum depends on
    the order of the rows, which is another one in every build. Of a group, or of the named window
    `over`.
#}
{% macro sum_in_order(column, over=none) %}
    {%- set values = 'array_agg(' ~ column ~ ')' ~ (' over ' ~ over if over else '') -%}
    {{- optimizely_e3.sum_over('array_sort(' ~ values ~ ')', 'element') -}}
{% endmacro %}
