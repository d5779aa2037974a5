{# Pieces of inference on sufficient statistics. Formulas and sources: docs/statistics.md. #}

{% macro welch_degrees(variance, visitors, other_variance, other_visitors) %}
    {#- Welch and Satterthwaite's degrees of freedom for a difference of two means. -#}
    (
        1e0 / (
            power({{ variance }} / ({{ variance }} + {{ other_variance }}), 2)
            / ({{ visitors }} - 1)
            + power({{ other_variance }} / ({{ variance }} + {{ other_variance }}), 2)
            / ({{ other_visitors }} - 1)
        )
    )
{%- endmacro %}

{% macro log_likelihood_ratio(z, information) %}
    {#-
        Logarithm of the mixture likelihood ratio against no difference. `information` is the
        mixing variance by the variance of the difference.
    -#}
    (
        {{ z }} * {{ z }} * {{ information }} / (2e0 * (1e0 + {{ information }}))
        - ln(1e0 + {{ information }}) / 2e0
    )
{%- endmacro %}

{% macro always_valid_width(information, error) %}
    {#-
        Half the width of an always-valid interval, in standard errors: there the mixture likelihood
        ratio is 1 / `error`.
    -#}
    sqrt(
        (1e0 + {{ information }}) / {{ information }}
        * (ln(1e0 + {{ information }}) - 2e0 * ln({{ error }}))
    )
{%- endmacro %}

{% macro family() %}
    {#-
        Columns of a family, whose p-values are adjusted together: an experiment's comparisons of
        metrics of one role, of everyone or in one kind of segment, at one time.
    -#}
    experiment_id, role, segment_name, counted_by, day, days_since_exposure
{%- endmacro %}

{% macro adjusted_variance(side) %}
    {#-
        Variance of a mean after adjustment by the covariate, of the arm or, as `baseline_`, of the
        baseline. What remains of sums that cancel out is rounding, not variance.
    -#}
    {%- set squares -%}
        ({{ side }}value_squares
        - 2e0 * slope * {{ side }}common_products
        + slope * slope * {{ side }}covariate_squares)
    {%- endset -%}
    case
        when {{ squares }} <= 1e-12 * {{ side }}value_squares then 0e0
        else {{ squares }} / nullif({{ side }}visitors - 1, 0) / {{ side }}visitors
    end
{%- endmacro %}

{% macro squares_about_mean(total, squares, visitors) %}
    {#- Sum of squares about the mean, 0 where it is no more than rounding. -#}
    case
        when {{ squares }} - {{ total }} * {{ total }} / {{ visitors }} > 1e-12 * {{ squares }}
            then {{ squares }} - {{ total }} * {{ total }} / {{ visitors }}
        when {{ squares }} is not null then 0e0
    end
{%- endmacro %}
