with

conversions as (
    select * from {{ ref('fct_conversions') }}
),

elements as (
    select
        event_id,
        visitor_id,
        session_key,
        {{ optimizely_e3.each_element('experiments') }} as element,
        is_bot,
        bot_reason,
        occurred_at,
        processed_at
    from conversions
),

attributions as (
    select
        event_id,
        visitor_id,
        session_key,
        nullif(element.campaign_id, '') as campaign_id,
        nullif(element.experiment_id, '') as experiment_id,
        nullif(element.variation_id, '') as variation_id,
        coalesce(element.is_holdback, false) as is_holdback,
        is_bot,
        bot_reason,
        occurred_at,
        processed_at
    from elements
),

final as (
    select *
    from attributions
    where experiment_id is not null
)

select * from final
