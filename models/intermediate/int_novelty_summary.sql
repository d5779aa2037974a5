{{ config(materialized='table_if_changed') }}
{%- set days_followed = 28 %}

with

experiment_metrics as (
    select *
    from {{ ref('int_experiment_metrics') }}
    where metric_origin <> 'outside'
),

daily_changes as (
    select *
    from {{ ref('int_daily_changes') }}
    where observed_on is not null
),

numbers as (
    select {{ optimizely_e3.each_number_to(days_followed) }} as number
),

exposed as (
    select
        experiment_id,
        variation_id,
        exposure_date as exposed_on,
        new_visitors as visitors
    from {{ ref('int_exposure_days') }}
),

last_day as (
    select cast(data_ends_at as date) - 1 as day
    from {{ ref('int_data_end') }}
),

-- The days since an exposure that the landed data cover for all exposed on one day.
followed as (
    select
        exposed.experiment_id,
        exposed.variation_id,
        exposed.exposed_on,
        cast(numbers.number as int) - 1 as days_since_exposure,
        exposed.exposed_on + (cast(numbers.number as int) - 1) as day,
        exposed.visitors
    from exposed
    cross join numbers
    cross join last_day
    where exposed.exposed_on + (cast(numbers.number as int) - 1) <= last_day.day
),

arms as (
    select
        experiment_id,
        variation_id,
        days_since_exposure,
        sum(visitors) as visitors
    from followed
    group by experiment_id, variation_id, days_since_exposure
),

sums as (
    select
        daily_changes.experiment_id,
        daily_changes.metric_name,
        daily_changes.variation_id,
        followed.days_since_exposure,
        sum(daily_changes.value_sum) as value_sum,
        sum(daily_changes.change_sum_squares) as value_sum_squares,
        sum(daily_changes.denominator_sum) as denominator_sum,
        sum(daily_changes.denominator_change_sum_squares) as denominator_sum_squares,
        sum(daily_changes.change_cross_product_sum) as cross_product_sum
    from daily_changes
    inner join followed
        on
            daily_changes.experiment_id = followed.experiment_id
            and daily_changes.variation_id = followed.variation_id
            and daily_changes.exposed_on = followed.exposed_on
            and daily_changes.observed_on = followed.day
    group by
        daily_changes.experiment_id,
        daily_changes.metric_name,
        daily_changes.variation_id,
        followed.days_since_exposure
),

final as (
    select
        arms.experiment_id,
        experiment_metrics.metric_name,
        arms.variation_id,
        arms.days_since_exposure,
        cast(arms.visitors as bigint) as visitors,
        coalesce(sums.value_sum, cast(0 as double)) as value_sum,
        coalesce(sums.value_sum_squares, cast(0 as double)) as value_sum_squares,
        case
            when experiment_metrics.is_ratio
                then coalesce(sums.denominator_sum, cast(0 as double))
        end as denominator_sum,
        case
            when experiment_metrics.is_ratio
                then coalesce(sums.denominator_sum_squares, cast(0 as double))
        end as denominator_sum_squares,
        case
            when experiment_metrics.is_ratio
                then coalesce(sums.cross_product_sum, cast(0 as double))
        end as cross_product_sum
    from arms
    inner join experiment_metrics on arms.experiment_id = experiment_metrics.experiment_id
    left join sums
        on
            arms.experiment_id = sums.experiment_id
            and arms.variation_id = sums.variation_id
            and arms.days_since_exposure = sums.days_since_exposure
            and experiment_metrics.metric_name = sums.metric_name
)

select * from final
