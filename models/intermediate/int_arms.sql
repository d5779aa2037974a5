with

summaries as (
    select
        experiment_id,
        metric_name,
        variation_id,
        segment_name,
        segment_value,
        'now' as counted_by,
        cast(null as date) as day,
        cast(null as bigint) as days_since_exposure,
        visitors,
        value_sum,
        value_sum_squares,
        denominator_sum,
        denominator_sum_squares,
        cross_product_sum,
        covariate_sum,
        covariate_sum_squares,
        covariate_product_sum
    from {{ ref('metric_summary') }}
    union all
    select
        experiment_id,
        metric_name,
        variation_id,
        'all' as segment_name,
        'all' as segment_value,
        counted_by,
        day,
        cast(null as bigint) as days_since_exposure,
        visitors,
        value_sum,
        value_sum_squares,
        denominator_sum,
        denominator_sum_squares,
        cross_product_sum,
        cast(null as double) as covariate_sum,
        cast(null as double) as covariate_sum_squares,
        cast(null as double) as covariate_product_sum
    from {{ ref('int_daily_summary') }}
    union all
    select
        experiment_id,
        metric_name,
        variation_id,
        'all' as segment_name,
        'all' as segment_value,
        'day_since_exposure' as counted_by,
        cast(null as date) as day,
        days_since_exposure,
        visitors,
        value_sum,
        value_sum_squares,
        denominator_sum,
        denominator_sum_squares,
        cross_product_sum,
        cast(null as double) as covariate_sum,
        cast(null as double) as covariate_sum_squares,
        cast(null as double) as covariate_product_sum
    from {{ ref('int_novelty_summary') }}
),

metrics as (
    select
        *,
        metric_type in ('conversion', 'funnel', 'compound', 'retention') as is_rate
    from {{ ref('dim_metrics') }}
),

experiments as (
    select * from {{ ref('dim_experiments') }}
),

-- Ids are numbers that only grow, so the smallest is the variation created first: usually the
-- original.
first_variations as (
    select
        experiment_id,
        variation_id,
        row_number() over (
            partition by experiment_id
            order by length(variation_id), variation_id
        ) as variation_number
    from {{ ref('metric_summary') }}
    where segment_name = 'all'
    group by experiment_id, variation_id
),

-- A mean of visitors is a ratio whose denominators are all 1.
with_means as (
    select
        *,
        coalesce(denominator_sum, cast(visitors as double)) as denominator,
        coalesce(denominator_sum_squares, cast(visitors as double)) as denominator_squares,
        coalesce(cross_product_sum, value_sum) as cross_products,
        value_sum / nullif(coalesce(denominator_sum, cast(visitors as double)), 0) as mean
    from summaries
),

with_residuals as (
    select
        *,
        value_sum_squares - 2e0 * mean * cross_products + mean * mean * denominator_squares
            as residual_sum_squares
    from with_means
),

final as (
    select
        arms.experiment_id,
        arms.metric_name,
        arms.variation_id,
        arms.segment_name,
        arms.segment_value,
        arms.counted_by,
        arms.day,
        arms.days_since_exposure,
        metrics.is_rate,
        metrics.direction,
        metrics.non_inferiority_margin,
        case
            when experiments.primary_metric = arms.metric_name then 'primary'
            when experiments.primary_metric is not null and metrics.role = 'primary'
                then 'secondary'
            else coalesce(metrics.role, metrics.metric_origin)
        end as role,
        coalesce(experiments.baseline_variation_id, first_variations.variation_id)
            as baseline_variation_id,
        experiments.baseline_variation_id is null as is_baseline_assumed,
        arms.visitors,
        arms.value_sum as numerator,
        arms.denominator,
        arms.mean,
        -- How many outcomes the mean stands on: of a rate, those of the rarer kind; of a ratio,
        -- visitors with a denominator, as many as if all had the same.
        case
            when metrics.is_rate then least(arms.value_sum, arms.visitors - arms.value_sum)
            when arms.denominator_sum is not null
                then
                    arms.denominator * arms.denominator / nullif(arms.denominator_squares, 0)
        end as outcomes,
        -- Sums of squares and products about the means.
        arms.covariate_sum / arms.visitors as covariate_mean,
        {{ optimizely_e3.squares_about_mean('value_sum', 'value_sum_squares', 'visitors') }}
            as value_squares,
        {{ optimizely_e3.squares_about_mean('covariate_sum', 'covariate_sum_squares', 'visitors') }}
            as covariate_squares,
        arms.covariate_product_sum - arms.value_sum * arms.covariate_sum / arms.visitors
            as common_products,
        -- What remains of sums that cancel out is rounding, not variance.
        case
            when arms.residual_sum_squares <= 1e-12 * arms.value_sum_squares then 0e0
            else
                arms.residual_sum_squares
                / nullif(arms.visitors - case when metrics.is_rate then 0 else 1 end, 0)
                * arms.visitors
                / nullif(arms.denominator * arms.denominator, 0)
        end as mean_variance
    from with_residuals as arms
    inner join metrics on arms.metric_name = metrics.metric_name
    inner join experiments on arms.experiment_id = experiments.experiment_id
    inner join first_variations
        on
            arms.experiment_id = first_variations.experiment_id
            and first_variations.variation_number = 1
)

select * from final
