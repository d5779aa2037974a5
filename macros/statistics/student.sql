{#
    Student's t distribution as an expression of plain arithmetic, for engines that have none.
    Degrees of freedom are any number from 1 up; with `normal_degrees()` it is the normal
    distribution. Arguments are columns or literals of the type double. docs/statistics.md has the
    formulas and how far they were checked.
#}

{% macro normal_degrees() %}
    {#- So many degrees that a double cannot tell the distribution from the normal one. -#}
    {{- return('1e18') -}}
{% endmacro %}

{% macro student_scale(degrees) %}
    {#- The density at 0, of which the others are fractions. -#}
    ({{ optimizely_e3.gamma_ratio('(' ~ degrees ~ ' / 2e0)') }} / sqrt(pi() * {{ degrees }}))
{%- endmacro %}

{% macro student_density(t, degrees, scale) %}
    {#- `scale` is that of the degrees, from `student_scale`. -#}
    (
        {{ scale }}
        * exp(
            -({{ degrees }} + 1e0) / 2e0
            * {{ optimizely_e3.log_of_one_plus('(' ~ t ~ ' * ' ~ t ~ ' / ' ~ degrees ~ ')') }}
        )
    )
{%- endmacro %}

{% macro student_tail(t, degrees, scale=none) %}
    {#- Probability of more than `t`, which is not negative. -#}
    (
        {{ optimizely_e3.student_density(
            t, degrees, scale or optimizely_e3.student_scale(degrees)
        ) }}
        * {{ optimizely_e3.student_tail_ratio(t, degrees) }}
    )
{%- endmacro %}

{% macro student_tail_ratio(t, degrees) %}
    {#-
        The tail beyond `t` as a multiple of the density f(t): Mills' ratio.

        It is the integral of exp(-w) over w, the logarithm by which the density has fallen from
        f(t) on. The double-exponential rule w = exp(u - exp(-u)), taken at 48 points, is exact to
        eleven digits, and to six where the tail is nearly one half.
    -#}
    {%- set u = '((element - 22) / 6e0)' -%}
    {%- set w = 'exp(' ~ u ~ ' - exp(-' ~ u ~ '))' -%}
    (
        ({{ degrees }} + {{ t }} * {{ t }}) / ({{ degrees }} + 1e0)
        * {{ optimizely_e3.sum_over(
            optimizely_e3.numbers_to(48),
            w ~ ' * (1e0 + exp(-' ~ u ~ '))'
            ~ ' * exp(-' ~ w ~ ' * (' ~ degrees ~ ' - 1e0) / (' ~ degrees ~ ' + 1e0))'
            ~ ' / sqrt(' ~ t ~ ' * ' ~ t ~ ' + (' ~ degrees ~ ' + ' ~ t ~ ' * ' ~ t ~ ')'
            ~ ' * 2e0 * exp(' ~ w ~ ' / (' ~ degrees ~ ' + 1e0))'
            ~ ' * sinh(' ~ w ~ ' / (' ~ degrees ~ ' + 1e0)))'
        ) }}
        / 6e0
    )
{%- endmacro %}

{% macro student_quantile_guess(z, degrees) %}
    {#-
        Nearly the t whose tail is that of `z` in the normal distribution: Cornish and Fisher's
        expansion, exact to ten digits from 300 degrees on.
    -#}
    (
        {{ z }}
        + (power({{ z }}, 3) + {{ z }}) / (4e0 * {{ degrees }})
        + (5e0 * power({{ z }}, 5) + 16e0 * power({{ z }}, 3) + 3e0 * {{ z }})
        / (96e0 * {{ degrees }} * {{ degrees }})
        + (
            3e0 * power({{ z }}, 7) + 19e0 * power({{ z }}, 5) + 17e0 * power({{ z }}, 3)
            - 15e0 * {{ z }}
        ) / (384e0 * power({{ degrees }}, 3))
        + (
            79e0 * power({{ z }}, 9) + 776e0 * power({{ z }}, 7) + 1482e0 * power({{ z }}, 5)
            - 1920e0 * power({{ z }}, 3) - 945e0 * {{ z }}
        ) / (92160e0 * power({{ degrees }}, 4))
    )
{%- endmacro %}

{% macro student_quantile_step(t, ratio, degrees, scale, tail) %}
    {#-
        A better approximation than `t` of the value whose tail is `tail`: Newton's step on the
        logarithms of both. Three of them, from the guess, give eleven digits. `ratio` is
        `student_tail_ratio` of `t`.
    -#}
    {%- set density = optimizely_e3.student_density(t, degrees, scale) -%}
    ({{ t }} * exp(ln({{ density }} * {{ ratio }} / ({{ tail }})) * {{ ratio }} / {{ t }}))
{%- endmacro %}

{% macro gamma_ratio(x) %}
    {#-
        Γ(x + ½) / Γ(x) for x of one half or more: the asymptotic series sixteen further on, where
        it is exact to twelve digits, and back by the recurrence.
    -#}
    {%- set y = '(' ~ x ~ ' + 16e0)' -%}
    sqrt({{ y }}) * (
        1e0
        - 1e0 / (8e0 * {{ y }})
        + 1e0 / (128e0 * power({{ y }}, 2))
        + 5e0 / (1024e0 * power({{ y }}, 3))
        - 21e0 / (32768e0 * power({{ y }}, 4))
        - 399e0 / (262144e0 * power({{ y }}, 5))
        + 869e0 / (4194304e0 * power({{ y }}, 6))
    )
    {%- for j in range(16) %} * ({{ x }} + {{ j }}e0) / ({{ x }} + {{ j }}.5e0){% endfor %}
{%- endmacro %}

{% macro log_of_one_plus(x) %}
    {#- ln(1 + x) without the loss of digits that a small x would suffer. -#}
    case
        when {{ x }} > 0.5e0 then ln(1e0 + {{ x }})
        else 2e0 * atanh({{ x }} / (2e0 + {{ x }}))
    end
{%- endmacro %}

{% macro normal_quantile_guess(tail) %}
    {#- The normal quantile within 0.0005: Hastings' approximation, for a tail below one half. -#}
    {%- set s = 'sqrt(-2e0 * ln(' ~ tail ~ '))' -%}
    (
        {{ s }} - (2.515517e0 + 0.802853e0 * {{ s }} + 0.010328e0 * power({{ s }}, 2))
        / (
            1e0 + 1.432788e0 * {{ s }} + 0.189269e0 * power({{ s }}, 2)
            + 0.001308e0 * power({{ s }}, 3)
        )
    )
{%- endmacro %}
