{#- A wrong var must not stop the parser: a run says what is wrong with all of them. #}
{%- set least_visitors = [var('minimum_visitors') | int, 2] | max %}
{%- set least_conversions = var('minimum_conversions') %}

with

arms as (
    select
        *,
        variation_id = baseline_variation_id as is_baseline
    from {{ ref('int_arms') }}
),

beside_baselines as (
    select
        *,
        max(case when is_baseline then visitors end) over arms_compared
            as baseline_visitors,
        max(case when is_baseline then mean end) over arms_compared
            as baseline_mean,
        max(case when is_baseline then mean_variance end) over arms_compared
            as baseline_mean_variance,
        max(case when is_baseline then outcomes end) over arms_compared
            as baseline_outcomes,
        max(case when is_baseline then value_squares end) over arms_compared
            as baseline_value_squares,
        max(case when is_baseline then covariate_mean end) over arms_compared
            as baseline_covariate_mean,
        max(case when is_baseline then covariate_squares end) over arms_compared
            as baseline_covariate_squares,
        max(case when is_baseline then common_products end) over arms_compared
            as baseline_common_products
    from arms
    window
        arms_compared as (
            partition by
                experiment_id,
                metric_name,
                segment_name,
                segment_value,
                counted_by,
                day,
                days_since_exposure
        )
),

with_effective_visitors as (
    select
        *,
        cast(visitors as double) * baseline_visitors / (visitors + baseline_visitors)
            as effective_visitors,
        covariate_mean - baseline_covariate_mean as covariate_difference
    from beside_baselines
),

-- Sums of squares and products about the means of both sides together.
pooled as (
    select
        *,
        common_products + baseline_common_products
        + effective_visitors * covariate_difference * (mean - baseline_mean)
            as pooled_products,
        covariate_squares + baseline_covariate_squares
        + effective_visitors * covariate_difference * covariate_difference
            as pooled_covariate_squares,
        value_squares + baseline_value_squares
        + effective_visitors * (mean - baseline_mean) * (mean - baseline_mean)
            as pooled_value_squares
    from with_effective_visitors
),

-- The slope of the metric on its covariate (CUPED); a correlation of 1e-12 is rounding.
with_slopes as (
    select
        *,
        case
            when
                covariate_squares + baseline_covariate_squares = 0
                or value_squares + baseline_value_squares = 0
                then null
            when
                abs(pooled_products)
                <= 1e-12 * sqrt(pooled_covariate_squares * pooled_value_squares)
                then 0e0
            else pooled_products / pooled_covariate_squares
        end as slope
    from pooled
),

adjusted as (
    select
        *,
        slope is not null as is_adjusted,
        mean - coalesce(
            slope * covariate_difference * baseline_visitors / (visitors + baseline_visitors),
            0e0
        ) as adjusted_mean,
        case
            when slope is null then mean_variance
            else {{ optimizely_e3.adjusted_variance('') }}
        end as adjusted_variance,
        baseline_mean + coalesce(
            slope * covariate_difference * visitors / (visitors + baseline_visitors),
            0e0
        ) as adjusted_baseline_mean,
        case
            when slope is null then baseline_mean_variance
            else {{ optimizely_e3.adjusted_variance('baseline_') }}
        end as adjusted_baseline_variance
    from with_slopes
),

-- Variances on the scale of the logarithm are relative to the means.
compared as (
    select
        *,
        adjusted_mean - adjusted_baseline_mean as difference,
        adjusted_variance + adjusted_baseline_variance as difference_variance,
        adjusted_mean > 0 and adjusted_baseline_mean > 0 as has_log_lift,
        case
            when adjusted_mean > 0 and adjusted_baseline_mean > 0
                then adjusted_variance / (adjusted_mean * adjusted_mean)
        end as log_variance,
        case
            when adjusted_mean > 0 and adjusted_baseline_mean > 0
                then
                    adjusted_baseline_variance
                    / (adjusted_baseline_mean * adjusted_baseline_mean)
        end as baseline_log_variance,
        is_rate and not is_adjusted as is_proportion
    from adjusted
),

with_reasons as (
    select
        *,
        case
            when is_baseline then 'baseline'
            when baseline_visitors is null then 'no_baseline'
            when difference is null then 'no_denominator'
            when least(visitors, baseline_visitors) < {{ least_visitors }}
                then 'too_few_visitors'
            when least(outcomes, baseline_outcomes) < {{ least_conversions }}
                then 'too_few_conversions'
            when difference_variance = 0 then 'no_variance'
        end as reason
    from compared
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
        case
            when adjusted_baseline_mean > 0 then difference / adjusted_baseline_mean
        end as lift,
        case
            when reason is null and is_adjusted
                then 1e0 - difference_variance / (mean_variance + baseline_mean_variance)
        end as variance_reduction,
        reason,
        case
            when reason is not null then reason
            when not has_log_lift then 'mean_not_positive'
        end as lift_reason,
        -- What is inferred stands on the following; NULL where there is a reason not to.
        case when reason is null then effective_visitors end as effective_visitors,
        case when reason is null then difference_variance end as difference_variance,
        case
            when reason is null and has_log_lift then log_variance + baseline_log_variance
        end as lift_variance,
        case
            when reason is not null then null
            when is_proportion then {{ optimizely_e3.normal_degrees() }}
            else {{ optimizely_e3.welch_degrees(
                'adjusted_variance', 'visitors', 'adjusted_baseline_variance',
                'baseline_visitors',
            ) }}
        end as difference_degrees,
        case
            when reason is not null or not has_log_lift then null
            when is_proportion then {{ optimizely_e3.normal_degrees() }}
            else {{ optimizely_e3.welch_degrees(
                'log_variance', 'visitors', 'baseline_log_variance', 'baseline_visitors'
            ) }}
        end as lift_degrees
    from with_reasons
)

select * from final
