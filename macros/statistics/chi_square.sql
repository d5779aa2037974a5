{#
    The chi-square distribution as an expression of plain arithmetic, for engines that have none.
    docs/health.md has the formulas and their sources.
#}

{% macro chi_square_tail(x, degrees) %}
    {#-
        Probability of more than `x`, a double that is not negative; `degrees` is a whole number
        from 1 on. A sum of as many terms as half the degrees, none of which is negative, so that
        small probabilities keep their digits.
    -#}
    {%- set half = '(' ~ x ~ ' / 2e0)' -%}
    {%- set power = '(element - 1e0 + (' ~ degrees ~ ' % 2) / 2e0)' -%}
    case
        when {{ x }} > 0e0
            then
                coalesce({{ optimizely_e3.sum_over(
                    optimizely_e3.numbers_to('cast(floor(' ~ degrees ~ ' / 2e0) as int)'),
                    'exp(' ~ power ~ ' * ln(' ~ half ~ ') - ' ~ half ~ ' - '
                    ~ optimizely_e3.log_gamma('(' ~ power ~ ' + 1e0)') ~ ')'
                ) }}, 0e0)
                + case
                    when {{ degrees }} % 2 = 1 then {{ optimizely_e3.root_error_tail(half) }}
                    else 0e0
                end
        when {{ x }} <= 0e0 then 1e0
    end
{%- endmacro %}

{% macro root_error_tail(y) %}
    {#-
        erfc(√y) for y > 0: the trapezoidal rule with steps of ½, whose only error above 1e-16 is
        the residue of a pole, which is known.
    -#}
    {%- set points = [] -%}
    {%- for number in range(13) -%}
        {%- do points.append(((number + 0.5) * 0.5) ** 2) -%}
    {%- endfor -%}
    (
        sqrt({{ y }}) * exp(-{{ y }}) / pi() * (
            {%- for point in points %}
            {{ '+ ' if not loop.first }}exp(-{{ point }}e0) / ({{ y }} + {{ point }}e0)
            {%- endfor %}
        )
        -- Beyond 2π the pole adds nothing.
        + case when {{ y }} < 39e0 then 2e0 / (1e0 + exp(4e0 * pi() * sqrt({{ y }}))) else 0e0 end
    )
{%- endmacro %}
