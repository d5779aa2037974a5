with

attributions as (
    select * from {{ ref('fct_attributed_conversions') }}
),

vendor_attributions as (
    select * from {{ ref('int_vendor_attributions') }}
),

exposures as (
    select * from {{ ref('fct_exposures') }}
),

-- For any experiment, held back from it or not.
filled_conversions as (
    select distinct
        event_id,
        visitor_id
    from vendor_attributions
),

deciding_exposures as (
    select
        experiment_id,
        visitor_id,
        exposed_at
    from exposures
    where {{ optimizely_e3.has_decision('exposures') }} and not is_holdback
),

final as (
    select
        attributions.experiment_id,
        attributions.event_id,
        attributions.visitor_id,
        attributions.variation_id,
        attributions.vendor_variation_id,
        case
            -- No variation is no '' either: staging reads that as NULL.
            when
                attributions.attribution_source = 'both'
                and coalesce(attributions.variation_id, '')
                = coalesce(attributions.vendor_variation_id, '')
                then 'agree'
            when attributions.attribution_source = 'both' then 'other_variation'
            when
                attributions.attribution_source = 'derived'
                and filled_conversions.event_id is not null
                then 'missing'
            when attributions.attribution_source = 'derived' then 'not_filled'
            when deciding_exposures.visitor_id is null then 'no_decision_seen'
            when attributions.occurred_at < deciding_exposures.exposed_at then 'before_exposure'
            else 'extra'
        end as agreement,
        attributions.entity_id,
        attributions.event_name,
        attributions.revenue_cents,
        attributions.is_bot,
        attributions.seconds_since_exposure,
        attributions.occurred_at
    from attributions
    -- A conversion that we attribute has a visitor.
    left join filled_conversions
        on
            attributions.event_id = filled_conversions.event_id
            and attributions.visitor_id = filled_conversions.visitor_id
    left join deciding_exposures
        on
            attributions.experiment_id = deciding_exposures.experiment_id
            and attributions.visitor_id = deciding_exposures.visitor_id
)

select * from final
