{#
    The gamma function as an expression of plain arithmetic: DuckDB has it, Spark has not.
    Arguments are columns or literals of the type double. docs/health.md has the formulas.
#}

{% macro stirling_remainder(x) %}
    {#-
        What Stirling's formula lacks: ln Γ(x) - ((x - ½) · ln(x) - x + ½ · ln(2π)), for x > 0.
        From 8 on the series has 16 digits, so a smaller x is looked at 8 further on.
    -#}
    case
        when {{ x }} >= 8e0 then {{ optimizely_e3.stirling_series(x) }}
        else
            {{ optimizely_e3.stirling_series('(' ~ x ~ ' + 8e0)') }}
            + ({{ x }} + 7.5e0) * ln({{ x }} + 8e0) - 8e0
            - ln({{ x }}{% for step in range(1, 8) %} * ({{ x }} + {{ step }}e0){% endfor %})
            - ({{ x }} - 5e-1) * ln({{ x }})
    end
{%- endmacro %}

{% macro stirling_series(x) %}
    {#- Bernoulli numbers over 2k · (2k - 1), in powers of 1 / x². -#}
    {%- set coefficients = [
        '1e0 / 12e0', '1e0 / 360e0', '1e0 / 1260e0', '1e0 / 1680e0', '1e0 / 1188e0',
        '691e0 / 360360e0', '1e0 / 156e0', '3617e0 / 122400e0',
    ] -%}
    {%- set square = '(' ~ x ~ ' * ' ~ x ~ ')' -%}
    {%- set series = namespace(sum=coefficients[-1]) -%}
    {%- for coefficient in coefficients[:-1] | reverse -%}
        {%- set series.sum = coefficient ~ ' - (' ~ series.sum ~ ') / ' ~ square -%}
    {%- endfor -%}
    ({{ series.sum }}) / {{ x }}
{%- endmacro %}

{% macro log_gamma(x) %}
    {#- ln Γ(x) for x > 0. -#}
    (
        ({{ x }} - 5e-1) * ln({{ x }}) - {{ x }} + 5e-1 * ln(2e0 * pi())
        + {{ optimizely_e3.stirling_remainder(x) }}
    )
{%- endmacro %}
