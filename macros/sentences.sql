{# Figures as a person reads them, letter by letter the same on every engine. #}

{% macro number_text(number, digits) %}
    {#-
        A number that is not negative, with so many digits after the point. Rounded by arithmetic:
        the engines round halves, and doubles that look like halves, each in its way.
    -#}
    {%- set scale = '1e' ~ digits -%}
    cast(
        cast(floor({{ number }} * {{ scale }} + 5e-1) / {{ scale }} as decimal(38, {{ digits }}))
        as string
    )
{%- endmacro %}

{% macro percent_text(share) %}
    {{- optimizely_e3.number_text('100e0 * ' ~ share, 1) }} || ' %'
{%- endmacro %}

{% macro p_value_text(p_value) %}
    {#- `p = 0.42`, with two digits that say something, down to `p < 0.00001`. -#}
    case
        when {{ p_value }} < 1e-5 then 'p < 0.00001'
        when {{ p_value }} < 1e-3 then 'p = ' || {{ optimizely_e3.number_text(p_value, 5) }}
        when {{ p_value }} < 1e-2 then 'p = ' || {{ optimizely_e3.number_text(p_value, 4) }}
        else 'p = ' || {{ optimizely_e3.number_text(p_value, 2) }}
    end
{%- endmacro %}

{% macro days_text(count) %}
    {{- 'cast(' ~ count ~ ' as string)' }} || case when {{ count }} = 1 then ' day' else ' days' end
{%- endmacro %}

{% macro date_text(date) %}
    {{- 'cast(' ~ date ~ ' as string)' -}}
{% endmacro %}
