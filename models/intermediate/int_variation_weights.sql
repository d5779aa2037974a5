{%- set weight_sum = optimizely_e3.sum_in_order('weight', over='experiment') %}

with

experiments as (
    select * from {{ ref('dim_experiments') }}
),

exposure_days as (
    select * from {{ ref('int_exposure_days') }}
),

fetched as (
    select * from {{ ref('stg_optimizely__variation_names') }}
),

registered as (
    select * from {{ ref('stg_registry__variations') }}
),

-- Not `dim_variations`, which has only what was seen: a planned variation that nobody ever saw is
-- the plainest mismatch.
known as (
    select
        experiment_id,
        variation_id,
        new_visitors as visitors,
        cast(null as double) as registered_weight,
        cast(null as double) as fetched_weight
    from exposure_days
    union all
    select
        experiment_id,
        variation_id,
        0 as visitors,
        weight as registered_weight,
        cast(null as double) as fetched_weight
    from registered
    union all
    select
        experiment_id,
        variation_id,
        0 as visitors,
        cast(null as double) as registered_weight,
        weight as fetched_weight
    from fetched
),

variations as (
    select
        experiment_id,
        variation_id,
        cast(sum(visitors) as bigint) as visitors,
        coalesce(max(registered_weight), max(fetched_weight)) as weight
    from known
    group by experiment_id, variation_id
),

arms as (
    select
        variations.experiment_id,
        variations.variation_id,
        variations.visitors,
        variations.weight,
        {{ weight_sum }} as weight_sum,
        count(case when variations.visitors > 0 then 1 end) over experiment as counted_arms,
        count(case when variations.visitors > 0 and variations.weight is null then 1 end)
            over experiment as undeclared_arms
    from variations
    inner join experiments on variations.experiment_id = experiments.experiment_id
    where variations.visitors > 0 or variations.weight > 0
    window
        experiment as (partition by variations.experiment_id)
),

-- Where one weight is unknown, the others say nothing: they are shares of a whole.
judged as (
    select
        *,
        undeclared_arms > 0 or weight_sum <= 0 as is_weight_assumed
    from arms
),

final as (
    select
        experiment_id,
        variation_id,
        visitors,
        weight,
        case
            when is_weight_assumed then cast(1 as double) / cast(counted_arms as double)
            else weight / weight_sum
        end as expected_share,
        is_weight_assumed
    from judged
    where visitors > 0 or not is_weight_assumed
)

select * from final
