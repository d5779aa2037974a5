{{ optimizely_e3.visitor_config() }}

with

conversions as (
    {{ optimizely_e3.rows_to_rebuild(ref('fct_conversions')) }}
),

exposures as (
    {{ optimizely_e3.rows_to_rebuild(ref('fct_exposures')) }}
),

vendor_attributions as (
    {{ optimizely_e3.rows_to_rebuild(ref('int_vendor_attributions')) }}
),

derived as (
    select
        conversions.event_id,
        conversions.visitor_id,
        exposures.experiment_id,
        exposures.variation_id
    from conversions
    inner join exposures on conversions.visitor_id = exposures.visitor_id
    where
        exposures.exposure_source in ('decision', 'both')
        and not exposures.is_holdback
        -- At the same instant counts: clients send decision and conversion in one batch.
        and conversions.occurred_at >= exposures.exposed_at
        and coalesce(
            conversions.occurred_at
            <= {{ optimizely_e3.attribution_ends_at('exposures.exposed_at') }},
            true
        )
),

vendor as (
    select
        event_id,
        visitor_id,
        experiment_id,
        min(variation_id) as variation_id
    from vendor_attributions
    where not is_holdback
    group by event_id, visitor_id, experiment_id
),

attributions as (
    select
        coalesce(derived.event_id, vendor.event_id) as event_id,
        coalesce(derived.visitor_id, vendor.visitor_id) as visitor_id,
        coalesce(derived.experiment_id, vendor.experiment_id) as experiment_id,
        case
            when derived.event_id is null then vendor.variation_id
            else derived.variation_id
        end as variation_id,
        vendor.variation_id as vendor_variation_id,
        case
            when vendor.event_id is null then 'derived'
            when derived.event_id is null then 'vendor'
            else 'both'
        end as attribution_source
    from derived
    full outer join vendor
        on
            derived.event_id = vendor.event_id
            and derived.visitor_id = vendor.visitor_id
            and derived.experiment_id = vendor.experiment_id
),

final as (
    select
        attributions.event_id,
        attributions.experiment_id,
        attributions.visitor_id,
        attributions.variation_id,
        attributions.vendor_variation_id,
        attributions.attribution_source,
        conversions.session_key,
        conversions.entity_id,
        conversions.event_name,
        conversions.event_type,
        conversions.revenue_cents,
        conversions.value,
        conversions.quantity,
        conversions.is_bot,
        {{ optimizely_e3.seconds_between('exposures.exposed_at', 'conversions.occurred_at') }}
            as seconds_since_exposure,
        conversions.occurred_at
    from attributions
    inner join conversions
        on
            attributions.event_id = conversions.event_id
            -- Not `=`: the vendor also attributes conversions that name no visitor.
            and attributions.visitor_id is not distinct from conversions.visitor_id
    left join exposures
        on
            attributions.visitor_id = exposures.visitor_id
            and attributions.experiment_id = exposures.experiment_id
)

select * from final
