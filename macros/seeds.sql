{#
    A text column of a seed, NULL where the cell is blank: DuckDB reads a blank as NULL, Spark as
    the text 'None'.
#}
{% macro blank_is_null(column) %}
    {{- "nullif(nullif(" ~ column ~ ", ''), 'None')" -}}
{% endmacro %}
