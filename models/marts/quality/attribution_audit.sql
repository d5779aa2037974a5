with

attributions as (
    select * from {{ ref('fct_attributed_conversions') }}
),

counts as (
    select
        experiment_id,
        agreement,
        count(*) as conversion_count,
        count(distinct visitor_id) as visitor_count
    from attributions
    group by experiment_id, agreement
),

final as (
    select
        experiment_id,
        agreement,
        conversion_count,
        visitor_count,
        cast(conversion_count as double)
        / nullif(cast(sum(conversion_count) over (partition by experiment_id) as double), 0)
            as share_of_conversions
    from counts
)

select * from final
