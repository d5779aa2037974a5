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
        bot_reason,
        occurred_at,
        processed_at
    from conversions
),

final as (
    select
        event_id,
        visitor_id,
        session_key,
        nullif(element.campaign_id, '') as campaign_id,
        element.experiment_id,
        nullif(element.variation_id, '') as variation_id,
        {{ optimizely_e3.is_held_back() }} as is_holdback,
        bot_reason,
        occurred_at,
        processed_at
    from elements
    where {{ optimizely_e3.names_experiment() }}
)

select * from final
