{{ optimizely_e3.visitor_config() }}

with

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
    from ({{ optimizely_e3.rows_to_rebuild(ref('fct_decisions')) }}) as decisions
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
    from ({{ optimizely_e3.rows_to_rebuild(ref('int_vendor_attributions')) }}) as attributions
    where visitor_id is not null and occurred_at is not null
),

summed as (
    select
        experiment_id,
        visitor_id,
        is_holdback,
        min(case when is_decision then occurred_at end) as first_decided_at,
        min(case when not is_decision then occurred_at end) as first_attributed_at,
        case
            when bool_or(bot_reason = 'attribute') then 'attribute'
            when bool_or(bot_reason = 'user_agent') then 'user_agent'
            when bool_or(bot_reason = 'rate') then 'rate'
        end as bot_reason,
        count(distinct variation_id) as variation_count,
        cast(count_if(is_decision) as bigint) as decision_count
    from evidence
    group by experiment_id, visitor_id, is_holdback
),

-- Once a visitor was exposed, what they were held back from no longer counts.
counted as (
    select *
    from (
        select
            *,
            row_number() over (
                partition by experiment_id, visitor_id
                order by is_holdback
            ) as holdback_rank
        from summed
    ) as ranked
    where holdback_rank = 1
),

-- Decisions come before what the vendor attributed. Only what shares the first instant is ranked.
ranked_evidence as (
    select
        evidence.*,
        row_number() over (
            partition by evidence.experiment_id, evidence.visitor_id
            order by
                evidence.processed_at nulls last,
                evidence.event_id,
                evidence.variation_id nulls last,
                evidence.campaign_id nulls last
        ) as evidence_rank
    from evidence
    inner join counted
        on
            evidence.experiment_id = counted.experiment_id
            and evidence.visitor_id = counted.visitor_id
            and evidence.is_holdback = counted.is_holdback
            and evidence.occurred_at
            = coalesce(counted.first_decided_at, counted.first_attributed_at)
            and evidence.is_decision = (counted.first_decided_at is not null)
),

exposures as (
    select
        counted.experiment_id,
        counted.visitor_id,
        counted.is_holdback,
        counted.first_decided_at is not null as has_decision,
        counted.first_attributed_at is not null as has_attribution,
        counted.bot_reason,
        counted.variation_count,
        counted.decision_count,
        first_evidence.campaign_id,
        first_evidence.variation_id,
        first_evidence.event_id,
        first_evidence.session_key,
        first_evidence.occurred_at as exposed_at
    from counted
    inner join ranked_evidence as first_evidence
        on
            counted.experiment_id = first_evidence.experiment_id
            and counted.visitor_id = first_evidence.visitor_id
    where first_evidence.evidence_rank = 1
),

-- Not read by `evidence` too: DuckDB keeps all columns of a common table that is read twice.
decisions as (
    {{ optimizely_e3.rows_to_rebuild(ref('fct_decisions')) }}
),

conversions as (
    {{ optimizely_e3.rows_to_rebuild(ref('fct_conversions')) }}
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
