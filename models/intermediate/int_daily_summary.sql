{{ config(materialized='table_if_changed') }}

with

experiment_metrics as (
    select * from {{ ref('int_experiment_metrics') }}
),

daily_changes as (
    select * from {{ ref('int_daily_changes') }}
),

exposed as (
    select
        experiment_id,
        variation_id,
        exposure_date as exposed_on,
        new_visitors as visitors
    from {{ ref('int_exposure_days') }}
),

-- Not every date of a span: a client's clock that is wrong by decades would make a row of each.
days as (
    select distinct
        experiment_id,
        'day_of_exposure' as counted_by,
        exposed_on as day
    from exposed
    union all
    (
        select
            experiment_id,
            'day_of_observation' as counted_by,
            exposed_on as day
        from exposed
        union
        select
            experiment_id,
            'day_of_observation' as counted_by,
            observed_on as day
        from daily_changes
        where observed_on is not null
    )
),

arms as (
    select
        experiment_id,
        variation_id,
        min(exposed_on) as first_exposed_on
    from exposed
    group by experiment_id, variation_id
),

arm_days as (
    select
        arms.experiment_id,
        arms.variation_id,
        days.counted_by,
        days.day,
        sum(exposed.visitors) over (
            partition by arms.experiment_id, arms.variation_id, days.counted_by
            order by days.day
        ) as visitors
    from arms
    inner join days
        on
            arms.experiment_id = days.experiment_id
            and arms.first_exposed_on <= days.day
    left join exposed
        on
            arms.experiment_id = exposed.experiment_id
            and arms.variation_id = exposed.variation_id
            and days.day = exposed.exposed_on
),

additions as (
    {%- for counted_by, day in [
        ('day_of_exposure', 'exposed_on'), ('day_of_observation', 'observed_on')
    ] %}
    {%- if not loop.first %}
    union all
    {%- endif %}
    select
        experiment_id,
        metric_name,
        variation_id,
        '{{ counted_by }}' as counted_by,
        {{ day }} as day,
        sum(value_sum) as value_sum,
        sum(value_sum_squares) as value_sum_squares,
        sum(denominator_sum) as denominator_sum,
        sum(denominator_sum_squares) as denominator_sum_squares,
        sum(cross_product_sum) as cross_product_sum
    from daily_changes
    group by experiment_id, metric_name, variation_id, {{ day }}
    {%- endfor %}
),

totals as (
    select
        arm_days.experiment_id,
        experiment_metrics.metric_name,
        arm_days.variation_id,
        arm_days.counted_by,
        arm_days.day,
        arm_days.visitors,
        experiment_metrics.is_ratio,
        coalesce(sum(additions.value_sum) over to_day, cast(0 as double)) as value_sum,
        coalesce(sum(additions.value_sum_squares) over to_day, cast(0 as double))
            as value_sum_squares,
        coalesce(sum(additions.denominator_sum) over to_day, cast(0 as double))
            as denominator_sum,
        coalesce(sum(additions.denominator_sum_squares) over to_day, cast(0 as double))
            as denominator_sum_squares,
        coalesce(sum(additions.cross_product_sum) over to_day, cast(0 as double))
            as cross_product_sum
    from arm_days
    inner join experiment_metrics
        on
            arm_days.experiment_id = experiment_metrics.experiment_id
            -- Of an outside metric nobody knows when it was observed.
            and (
                arm_days.counted_by = 'day_of_exposure'
                or experiment_metrics.metric_origin <> 'outside'
            )
    left join additions
        on
            arm_days.experiment_id = additions.experiment_id
            and arm_days.variation_id = additions.variation_id
            and arm_days.counted_by = additions.counted_by
            and arm_days.day = additions.day
            and experiment_metrics.metric_name = additions.metric_name
    window
        to_day as (
            partition by
                arm_days.experiment_id,
                experiment_metrics.metric_name,
                arm_days.variation_id,
                arm_days.counted_by
            order by arm_days.day
        )
),

final as (
    select
        experiment_id,
        metric_name,
        variation_id,
        counted_by,
        day,
        cast(visitors as bigint) as visitors,
        value_sum,
        value_sum_squares,
        case when is_ratio then denominator_sum end as denominator_sum,
        case when is_ratio then denominator_sum_squares end as denominator_sum_squares,
        case when is_ratio then cross_product_sum end as cross_product_sum
    from totals
)

select * from final
