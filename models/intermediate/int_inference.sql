{{ config(materialized='table_if_changed') }}

{%- set steps = 3 %}
{%- set normal = optimizely_e3.normal_degrees() %}
{%- set measures = ['difference', 'lift'] %}

with

comparisons as (
    select
        *,
        abs(difference) / sqrt(difference_variance) as z
    from {{ ref('int_comparisons') }}
),

-- Quantiles come nearer with each table: first the normal ones, then Student's.
levels_0 as (
    select
        error,
        mixing_variance,
        power_error,
        {{ optimizely_e3.student_scale(normal) }} as normal_scale,
        {{ optimizely_e3.normal_quantile_guess('error / 2e0') }} as error_z_0,
        {{ optimizely_e3.normal_quantile_guess('power_error') }} as power_z_0
    from (
        select
            1e0 - cast({{ var('confidence_level') }} as double) as error,
            1e0 - cast({{ var('power') }} as double) as power_error,
            power(cast({{ var('mixing_scale') }} as double), 2) as mixing_variance
    ) as settings
),
{% for step in range(steps) %}
level_ratios_{{ step }} as (
    select
        *,
        {{ optimizely_e3.student_tail_ratio('error_z_' ~ step, normal) }} as error_ratio_{{ step }},
        {{ optimizely_e3.student_tail_ratio('power_z_' ~ step, normal) }} as power_ratio_{{ step }}
    from levels_{{ step }}
),

levels_{{ step + 1 }} as (
    select
        *,
        {{ optimizely_e3.student_quantile_step(
            'error_z_' ~ step, 'error_ratio_' ~ step, normal, 'normal_scale', 'error / 2e0'
        ) }} as error_z_{{ step + 1 }},
        {{ optimizely_e3.student_quantile_step(
            'power_z_' ~ step, 'power_ratio_' ~ step, normal, 'normal_scale', 'power_error'
        ) }} as power_z_{{ step + 1 }}
    from level_ratios_{{ step }}
),
{% endfor %}
quantiles_0 as (
    select
        comparisons.*,
        levels.error,
        levels.power_z_{{ steps }} as power_z,
        comparisons.effective_visitors * levels.mixing_variance as information,
        {{ optimizely_e3.student_scale('comparisons.difference_degrees') }} as difference_scale,
        {{ optimizely_e3.student_scale('comparisons.lift_degrees') }} as lift_scale,
        {{ optimizely_e3.student_quantile_guess(
            'levels.error_z_' ~ steps, 'comparisons.difference_degrees'
        ) }} as difference_quantile_0,
        {{ optimizely_e3.student_quantile_guess(
            'levels.error_z_' ~ steps, 'comparisons.lift_degrees'
        ) }} as lift_quantile_0
    from comparisons
    cross join levels_{{ steps }} as levels
),
{% for step in range(steps) %}
ratios_{{ step }} as (
    select
        *,
        {%- for measure in measures %}
        case
            when {{ measure }}_degrees < 3e2
                then {{ optimizely_e3.student_tail_ratio(
                    measure ~ '_quantile_' ~ step, measure ~ '_degrees'
                ) }}
        end as {{ measure }}_ratio_{{ step }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from quantiles_{{ step }}
),

quantiles_{{ step + 1 }} as (
    select
        *,
        {%- for measure in measures %}
        case
            when {{ measure }}_ratio_{{ step }} is null then {{ measure }}_quantile_{{ step }}
            else {{ optimizely_e3.student_quantile_step(
                measure ~ '_quantile_' ~ step, measure ~ '_ratio_' ~ step, measure ~ '_degrees',
                measure ~ '_scale', 'error / 2e0'
            ) }}
        end as {{ measure }}_quantile_{{ step + 1 }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from ratios_{{ step }}
),
{% endfor %}
-- Half the widths of the intervals: fixed-horizon, and always valid.
with_widths as (
    select
        *,
        difference_quantile_{{ steps }} * sqrt(difference_variance) as ci_width,
        lift_quantile_{{ steps }} * sqrt(lift_variance) as log_ci_width,
        {{ optimizely_e3.always_valid_width('information', 'error') }}
        * sqrt(difference_variance) as cs_width,
        {{ optimizely_e3.always_valid_width('information', 'error') }}
        * sqrt(lift_variance) as log_cs_width
    from quantiles_{{ steps }}
),

final as (
    select
        experiment_id,
        metric_name,
        variation_id,
        segment_name,
        segment_value,
        counted_by,
        day,
        days_since_exposure,
        role,
        direction,
        non_inferiority_margin,
        baseline_variation_id,
        is_baseline_assumed,
        visitors,
        numerator,
        denominator,
        mean,
        baseline_mean,
        difference,
        difference - ci_width as difference_ci_lower,
        difference + ci_width as difference_ci_upper,
        difference - cs_width as difference_cs_lower,
        difference + cs_width as difference_cs_upper,
        variance_reduction,
        lift,
        (lift + 1e0) * exp(-log_ci_width) - 1e0 as lift_ci_lower,
        (lift + 1e0) * exp(log_ci_width) - 1e0 as lift_ci_upper,
        (lift + 1e0) * exp(-log_cs_width) - 1e0 as lift_cs_lower,
        (lift + 1e0) * exp(log_cs_width) - 1e0 as lift_cs_upper,
        -- least() would make 1 of NULL.
        case
            when reason is null
                then least(
                    2e0 * {{ optimizely_e3.student_tail(
                        'z', 'difference_degrees', 'difference_scale'
                    ) }},
                    1e0
                )
        end as p_value,
        case
            when reason is null
                then least(exp(-{{ optimizely_e3.log_likelihood_ratio('z', 'information') }}), 1e0)
        end as p_value_always_valid,
        {{ 'cs_width' if var('decision_method') == 'always_valid' else 'ci_width' }}
        + power_z * sqrt(difference_variance) as minimum_detectable_effect,
        reason,
        lift_reason
    from with_widths
)

select * from final
