{#
    A text column of a seed, NULL where the cell is blank: DuckDB reads a blank as NULL, Spark as
    the text 'None'.
#}
{% macro blank_is_null(column) %}
    {{- "nullif(nullif(" ~ column ~ ", ''), 'None')" -}}
{% endmacro %}

{# In a select list: text columns of a seed, NULL where the cell is blank. #}
{% macro text_columns(columns) %}
    {%- for column in columns %}
        {{- optimizely_e3.blank_is_null(column) }} as {{ column }}
        {%- if not loop.last %},
        {% endif %}
    {%- endfor %}
{%- endmacro %}

{# A declared length of time as whole microseconds; NULL for none, which is a blank or 0. #}
{% macro declared_microseconds(column, unit_seconds) %}
    case
        when try_cast({{ column }} as double) <> 0
            then cast(round(try_cast({{ column }} as double) * {{ unit_seconds }}e6) as bigint)
    end
{%- endmacro %}

{#
    Whether the text of a seed's cell is a number between two limits; a blank is. Not a number is
    greater than every number, on both engines.
#}
{% macro is_blank_or_between(column, lowest, highest) %}
    {{- "coalesce(try_cast(" ~ column ~ " as double) between " ~ lowest ~ " and " ~ highest ~ ", "
        ~ column ~ " is null)" -}}
{% endmacro %}
