{{ optimizely_e3.visitor_config() }}

with

decisions as (
    {{ optimizely_e3.rows_to_rebuild(ref('fct_decisions')) }}
),

conversions as (
    {{ optimizely_e3.rows_to_rebuild(ref('fct_conversions')) }}
),

attributions as (
    {{ optimizely_e3.rows_to_rebuild(ref('int_vendor_attributions')) }}
),

evidence as (
    select
        experiment_id,
        visitor_id,
        campaign_id,
        variation_id,
        event_id,
        true as is_decision,
        session_key,
        is_holdback,
        bot_reason,
        occurred_at,
        processed_at
    from decisions
    where experiment_id is not null and visitor_id is not null and occurred_at is not null
    union all
    select
        experiment_id,
        visitor_id,
        campaign_id,
        variation_id,
        event_id,
        false as is_decision,
        session_key,
        is_holdback,
        bot_reason,
        occurred_at,
        processed_at
    from attributions
    where visitor_id is not null and occurred_at is not null
),

-- Evidence without holdback comes first, decisions before what the vendor attributed.
ranked_evidence as (
    select
        *,
        row_number() over evidence_order as evidence_rank,
        first_value(is_holdback) over evidence_order as is_visitor_held_back
    from evidence
    window
        evidence_order as (
            partition by experiment_id, visitor_id
            order by
                is_holdback,
                is_decision desc,
                occurred_at,
                processed_at nulls last,
                event_id,
                variation_id nulls last,
                campaign_id nulls last
        )
),

-- Once a visitor was exposed, what they were held back from no longer counts.
exposures as (
    select
        experiment_id,
        visitor_id,
        max(case when evidence_rank = 1 then campaign_id end) as campaign_id,
        max(case when evidence_rank = 1 then variation_id end) as variation_id,
        max(case when evidence_rank = 1 then event_id end) as event_id,
        max(case when evidence_rank = 1 then session_key end) as session_key,
        max(case when evidence_rank = 1 then occurred_at end) as exposed_at,
        bool_or(is_decision) as has_decision,
        bool_or(not is_decision) as has_attribution,
        bool_or(is_holdback) as is_holdback,
        case
            when bool_or(bot_reason = 'attribute') then 'attribute'
            when bool_or(bot_reason = 'user_agent') then 'user_agent'
            when bool_or(bot_reason = 'rate') then 'rate'
        end as bot_reason,
        count(distinct variation_id) as variation_count,
        cast(count_if(is_decision) as bigint) as decision_count
    from ranked_evidence
    where is_holdback = is_visitor_held_back
    group by experiment_id, visitor_id
),

exposing_events as (
    select
        exposures.experiment_id,
        exposures.visitor_id,
        decisions.attributes
    from exposures
    inner join decisions
        on
            exposures.visitor_id = decisions.visitor_id
            and exposures.event_id = decisions.event_id
    where exposures.has_decision
    union all
    select
        exposures.experiment_id,
        exposures.visitor_id,
        conversions.attributes
    from exposures
    inner join conversions
        on
            exposures.visitor_id = conversions.visitor_id
            and exposures.event_id = conversions.event_id
    where not exposures.has_decision
),

final as (
    select
        exposures.experiment_id,
        exposures.visitor_id,
        exposures.campaign_id,
        exposures.variation_id,
        exposures.event_id,
        exposures.session_key,
        case
            when not exposures.has_attribution then 'decision'
            when not exposures.has_decision then 'vendor'
            else 'both'
        end as exposure_source,
        case
            when exposures.is_holdback then 'holdback'
            when exposures.bot_reason is not null then 'bot'
            when exposures.variation_id is null then 'no_variation'
            when exposures.variation_count > 1 then 'crossover'
            else 'valid'
        end as exposure_status,
        exposing_events.attributes,
        exposures.variation_count,
        exposures.decision_count,
        exposures.is_holdback,
        exposures.bot_reason is not null as is_bot,
        exposures.bot_reason,
        exposures.exposed_at
    from exposures
    inner join exposing_events
        on
            exposures.experiment_id = exposing_events.experiment_id
            and exposures.visitor_id = exposing_events.visitor_id
)

select * from final
