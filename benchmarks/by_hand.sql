-- What an able analyst writes by hand for the demo's numbers: one script, run once over the landed
-- tables, from nothing. No increments, no declarations, no vars, no statistics but the means, their
-- variances and the lifts. NULLs sort last, which is DuckDB's default.
drop schema if exists by_hand cascade;
create schema by_hand;

-- Rows that share an id: the first of a visitor stays.
create temp table copies as
with

decisions as (
    select
        true as is_decision,
        nullif(visitor_id, '') as visitor_id,
        lower(uuid) as event_id,
        _file_id,
        _file_row,
        row_number() over copies_in_order as copy_number,
        count(*) over copies as copy_count
    from optimizely_raw.decisions
    where
        lower(uuid) in (
            select lower(uuid) as event_id
            from optimizely_raw.decisions
            where uuid <> ''
            group by event_id
            having count(*) > 1
        )
    window
        copies as (partition by nullif(visitor_id, ''), lower(uuid)),
        copies_in_order as (
            partition by nullif(visitor_id, ''), lower(uuid)
            order by _export_date, process_timestamp, timestamp, _file_id, _file_row
        )
),

conversions as (
    select
        false as is_decision,
        nullif(visitor_id, '') as visitor_id,
        lower(uuid) as event_id,
        _file_id,
        _file_row,
        row_number() over copies_in_order as copy_number,
        count(*) over copies as copy_count
    from optimizely_raw.conversions
    where
        lower(uuid) in (
            select lower(uuid) as event_id
            from optimizely_raw.conversions
            where uuid <> ''
            group by event_id
            having count(*) > 1
        )
    window
        copies as (partition by nullif(visitor_id, ''), lower(uuid)),
        copies_in_order as (
            partition by nullif(visitor_id, ''), lower(uuid)
            order by _export_date, process_timestamp, timestamp, _file_id, _file_row
        )
)

select * from decisions
union all
select * from conversions;

create table by_hand.duplicate_events as
select
    is_decision,
    visitor_id,
    event_id,
    copy_count
from copies
where copy_number = 1 and copy_count > 1;

create temp table bot_user_agents as
select distinct agents.user_agent
from (
    select user_agent from optimizely_raw.decisions
    union
    select user_agent from optimizely_raw.conversions
) as agents
inner join (
    select unnest([
        'googlebot', 'google-inspectiontool', 'adsbot-google', 'mediapartners-google', 'bingbot',
        'yandexbot', 'baiduspider', 'duckduckbot', 'applebot', 'petalbot', 'yahoo! slurp',
        'seznambot', 'ahrefsbot', 'semrushbot', 'mj12bot', 'dotbot', 'screaming frog',
        'facebookexternalhit', 'linkedinbot', 'slackbot', 'twitterbot', 'pinterestbot',
        'telegrambot', 'discordbot', 'bytespider', 'gptbot', 'claudebot', 'ccbot', 'amazonbot',
        'headlesschrome', 'phantomjs', 'pingdom', 'uptimerobot', 'statuscake', 'site24x7',
        'datadogsynthetics', 'lighthouse', 'gtmetrix'
    ]) as pattern
) as patterns
    on contains(lower(agents.user_agent), patterns.pattern);

create temp macro is_bot(attributes, user_agent) as
    coalesce(
        len(list_filter(
            attributes,
            lambda element:
                coalesce(element.name, element.id) = '$opt_bot_filtering'
                and lower(ltrim(element.value, chr(57344))) = 'true'
        )) > 0,
        false
    )
    or coalesce(user_agent in (select user_agent from bot_user_agents), false);

create temp table decisions as
select
    nullif(visitor_id, '') as visitor_id,
    coalesce(lower(nullif(uuid, '')), 'row-' || _file_id || '-' || _file_row) as event_id,
    nullif(session_id, '') as vendor_session_id,
    nullif(campaign_id, '') as campaign_id,
    nullif(experiment_id, '') as experiment_id,
    nullif(variation_id, '') as variation_id,
    coalesce(is_holdback, false) as is_holdback,
    is_bot(attributes, user_agent) as is_bot,
    timestamp as occurred_at,
    process_timestamp as processed_at
from optimizely_raw.decisions
where
    (_file_id, _file_row) not in (
        select (_file_id, _file_row) from copies where is_decision and copy_number > 1
    );

create temp table conversions as
select
    row_number() over () as conversion_number,
    nullif(visitor_id, '') as visitor_id,
    coalesce(lower(nullif(uuid, '')), 'row-' || _file_id || '-' || _file_row) as event_id,
    nullif(session_id, '') as vendor_session_id,
    nullif(entity_id, '') as entity_id,
    nullif(event_name, '') as event_name,
    coalesce(nullif(event_name, ''), nullif(entity_id, '')) as event_key,
    revenue as revenue_cents,
    case when abs(value) < 1e150 then value end as value,
    quantity,
    experiments,
    is_bot(attributes, user_agent) as is_bot,
    timestamp as occurred_at,
    process_timestamp as processed_at
from optimizely_raw.conversions
where
    (_file_id, _file_row) not in (
        select (_file_id, _file_row) from copies where not is_decision and copy_number > 1
    );

-- Sessions: half an hour without an event ends one, and so does a day.
create temp table visit_events as
with

events as (
    select
        visitor_id,
        occurred_at,
        vendor_session_id,
        true as is_decision,
        is_bot,
        0 as revenue_cents,
        cast(null as tinyint) as step
    from decisions
    union all
    select
        visitor_id,
        occurred_at,
        vendor_session_id,
        false as is_decision,
        is_bot,
        revenue_cents,
        -- Of the two funnels.
        case event_name
            when 'product_viewed' then 1
            when 'add_to_cart' then 2
            when 'checkout: started' then 3
            when 'purchase' then 4
        end as step
    from conversions
),

timed as (
    select
        *,
        lag(occurred_at) over (partition by visitor_id order by occurred_at) as previous_at
    from events
    where visitor_id is not null and occurred_at is not null
)

select
    * exclude (previous_at),
    max(
        case
            when previous_at is null or occurred_at >= previous_at + interval 30 minutes
                then occurred_at
        end
    ) over (partition by visitor_id order by occurred_at) as visit_started_at
from timed;

create temp table cuts as
with recursive

long_visits as (
    select
        visitor_id,
        visit_started_at
    from visit_events
    group by visitor_id, visit_started_at
    having max(occurred_at) > visit_started_at + interval 24 hours
),

long_visit_events as (
    select
        visitor_id,
        visit_started_at,
        occurred_at
    from visit_events
    semi join long_visits using (visitor_id, visit_started_at)
),

starts as (
    select
        visitor_id,
        visit_started_at,
        visit_started_at as session_started_at
    from long_visits
    union all
    select
        starts.visitor_id,
        starts.visit_started_at,
        min(long_visit_events.occurred_at) as session_started_at
    from starts
    inner join long_visit_events
        on
            starts.visitor_id = long_visit_events.visitor_id
            and starts.visit_started_at = long_visit_events.visit_started_at
            and long_visit_events.occurred_at > starts.session_started_at + interval 24 hours
    group by starts.visitor_id, starts.visit_started_at
)

select
    *,
    lead(session_started_at, 1, 'infinity') over (
        partition by visitor_id, visit_started_at
        order by session_started_at
    ) as next_started_at
from starts;

create temp table session_events as
select
    visit_events.visitor_id,
    coalesce(cuts.session_started_at, visit_events.visit_started_at) as session_started_at,
    visit_events.occurred_at,
    visit_events.vendor_session_id,
    visit_events.is_decision,
    visit_events.is_bot,
    visit_events.revenue_cents,
    visit_events.step
from visit_events
left join cuts
    on
        visit_events.visitor_id = cuts.visitor_id
        and visit_events.visit_started_at = cuts.visit_started_at
        and visit_events.occurred_at >= cuts.session_started_at
        and visit_events.occurred_at < cuts.next_started_at;

create table by_hand.sessions as
select
    visitor_id || ':' || epoch_ms(session_started_at) as session_key,
    visitor_id,
    session_started_at as started_at,
    max(occurred_at) as ended_at,
    count_if(is_decision) as decision_count,
    count_if(not is_decision) as conversion_count,
    coalesce(sum(revenue_cents), 0) as revenue_cents,
    bool_or(is_bot) as is_bot
from session_events
group by visitor_id, session_started_at;

create table by_hand.session_audit as
with

shared_sessions as (
    select distinct
        visitor_id,
        session_started_at,
        vendor_session_id
    from session_events
    where vendor_session_id is not null
),

vendor_sessions as (
    select
        visitor_id,
        vendor_session_id,
        count(*) as session_count
    from shared_sessions
    group by visitor_id, vendor_session_id
),

compared as (
    select
        shared_sessions.visitor_id,
        shared_sessions.session_started_at as started_at,
        count(*) > 1 as is_joined,
        max(vendor_sessions.session_count) > 1 as is_split
    from shared_sessions
    inner join vendor_sessions using (visitor_id, vendor_session_id)
    group by shared_sessions.visitor_id, shared_sessions.session_started_at
)

select
    cast(sessions.started_at as date) as session_date,
    case
        when compared.visitor_id is null then 'not_filled'
        when compared.is_split and compared.is_joined then 'split_and_joined'
        when compared.is_split then 'split'
        when compared.is_joined then 'joined'
        else 'agree'
    end as agreement,
    count(*) as session_count,
    sum(sessions.decision_count + sessions.conversion_count) as event_count
from by_hand.sessions
left join compared using (visitor_id, started_at)
group by session_date, agreement;

-- Exposures: the first decision without holdback, else the vendor's first attribution.
create temp table vendor_attributions as
with

elements as (
    select
        conversion_number,
        visitor_id,
        event_id,
        unnest(experiments) as element,
        is_bot,
        occurred_at,
        processed_at
    from conversions
)

select
    conversion_number,
    visitor_id,
    event_id,
    nullif(element.campaign_id, '') as campaign_id,
    element.experiment_id,
    nullif(element.variation_id, '') as variation_id,
    coalesce(element.is_holdback, false) as is_holdback,
    is_bot,
    occurred_at,
    processed_at
from elements
where element.experiment_id <> '';

create table by_hand.exposures as
with

evidence as (
    select
        experiment_id,
        visitor_id,
        is_holdback,
        true as is_decision,
        is_bot,
        variation_id,
        {
            'exposed_at': occurred_at,
            'processed_at': processed_at,
            'event_id': event_id,
            'variation_id': variation_id,
            'campaign_id': campaign_id
        } as place
    from decisions
    where experiment_id is not null and visitor_id is not null and occurred_at is not null
    union all
    select
        experiment_id,
        visitor_id,
        is_holdback,
        false as is_decision,
        is_bot,
        variation_id,
        {
            'exposed_at': occurred_at,
            'processed_at': processed_at,
            'event_id': event_id,
            'variation_id': variation_id,
            'campaign_id': campaign_id
        } as place
    from vendor_attributions
    where visitor_id is not null and occurred_at is not null
),

summed as (
    select
        experiment_id,
        visitor_id,
        is_holdback,
        min(place) filter (where is_decision) as first_decision,
        min(place) filter (where not is_decision) as first_attribution,
        count_if(is_decision) as decision_count,
        bool_or(is_bot) as is_bot,
        min(variation_id) <> max(variation_id) as is_crossover
    from evidence
    group by experiment_id, visitor_id, is_holdback
),

chosen as (
    select
        *,
        coalesce(first_decision, first_attribution) as first_evidence
    from summed
    qualify row_number() over (partition by experiment_id, visitor_id order by is_holdback) = 1
)

select
    row_number() over () as exposure_number,
    experiment_id,
    visitor_id,
    first_evidence.variation_id as variation_id,
    first_evidence.exposed_at as exposed_at,
    case
        when first_attribution is null then 'decision'
        when first_decision is null then 'vendor'
        else 'both'
    end as exposure_source,
    case
        when is_holdback then 'holdback'
        when is_bot then 'bot'
        when first_evidence.variation_id is null then 'no_variation'
        when is_crossover then 'crossover'
        else 'valid'
    end as exposure_status,
    decision_count,
    is_holdback,
    is_bot
from chosen;

create temp table counted_exposures as
select
    exposure_number,
    experiment_id,
    visitor_id,
    variation_id,
    exposed_at
from by_hand.exposures
where exposure_status in ('valid', 'crossover') and exposure_source <> 'vendor';

create temp table arms as
select
    experiment_id,
    variation_id,
    count(*) as visitors,
    count_if(exposed_at + interval 7 days < data_end.ends_at) as visitors_of_a_week
from counted_exposures
cross join (
    select cast(max(export_date) + 1 as timestamp) as ends_at
    from optimizely_ledger.days
    where export_type = 'events'
) as data_end
group by experiment_id, variation_id;

-- How far the vendor's attribution agrees with ours.
create table by_hand.attribution_audit as
with

derived as (
    select
        conversions.conversion_number,
        exposures.experiment_id,
        exposures.visitor_id,
        exposures.variation_id
    from conversions
    inner join by_hand.exposures
        on
            conversions.visitor_id = exposures.visitor_id
            and conversions.occurred_at >= exposures.exposed_at
    where exposures.exposure_source <> 'vendor' and not exposures.is_holdback
),

vendor as (
    select
        conversion_number,
        experiment_id,
        any_value(visitor_id) as visitor_id,
        any_value(occurred_at) as occurred_at,
        min(variation_id) as variation_id
    from vendor_attributions
    where not is_holdback
    group by conversion_number, experiment_id
),

filled as (
    select distinct conversion_number from vendor_attributions
),

compared as (
    select
        coalesce(derived.experiment_id, vendor.experiment_id) as experiment_id,
        coalesce(derived.visitor_id, vendor.visitor_id) as visitor_id,
        case
            when derived.conversion_number is not null and vendor.conversion_number is not null
                then
                    if(
                        derived.variation_id is not distinct from vendor.variation_id,
                        'agree', 'other_variation'
                    )
            when derived.conversion_number is not null
                then if(filled.conversion_number is not null, 'missing', 'not_filled')
            when exposures.visitor_id is null then 'no_decision_seen'
            when vendor.occurred_at < exposures.exposed_at then 'before_exposure'
            else 'extra'
        end as agreement
    from derived
    full outer join vendor
        on
            derived.conversion_number = vendor.conversion_number
            and derived.experiment_id = vendor.experiment_id
    left join filled on derived.conversion_number = filled.conversion_number
    left join by_hand.exposures
        on
            vendor.experiment_id = exposures.experiment_id
            and vendor.visitor_id = exposures.visitor_id
            and exposures.exposure_source <> 'vendor'
            and not exposures.is_holdback
)

select
    experiment_id,
    agreement,
    count(*) as conversion_count,
    count(distinct visitor_id) as visitor_count
from compared
group by experiment_id, agreement;

-- What each exposed visitor did on each day, of each event.
create type by_hand.event_key as enum (
    select distinct event_key from conversions where event_key is not null
);

create temp table visitor_days as
select
    exposures.exposure_number,
    cast(conversions.event_key as by_hand.event_key) as event_key,
    cast(conversions.occurred_at as date) as observed_on,
    cast(count(*) as double) as events,
    cast(coalesce(sum(conversions.revenue_cents), 0) as double) as revenue,
    coalesce(sum(conversions.value), 0) as value,
    cast(coalesce(sum(conversions.quantity), 0) as double) as quantity,
    cast(
        count_if(conversions.occurred_at <= exposures.exposed_at + interval 168 hours) as double
    ) as events_of_a_week,
    cast(
        count_if(
            conversions.occurred_at >= exposures.exposed_at + interval 24 hours
            and conversions.occurred_at < exposures.exposed_at + interval 168 hours
        ) as double
    ) as events_of_a_return
from counted_exposures as exposures
inner join conversions
    on
        exposures.visitor_id = conversions.visitor_id
        and exposures.exposed_at <= conversions.occurred_at
where not conversions.is_bot and conversions.event_key is not null
group by exposures.exposure_number, conversions.event_key, observed_on;

-- With the sums up to each day, and up to the day before.
create temp table visitor_days_so_far as
select
    counted_exposures.experiment_id,
    counted_exposures.variation_id,
    cast(counted_exposures.exposed_at as date) as exposed_on,
    visitor_days.exposure_number,
    visitor_days.event_key,
    visitor_days.observed_on,
    sum(visitor_days.events) over by_day as events,
    sum(visitor_days.revenue) over by_day as revenue,
    sum(visitor_days.value) over by_day as value,
    sum(visitor_days.quantity) over by_day as quantity,
    sum(visitor_days.events_of_a_week) over by_day as events_of_a_week,
    sum(visitor_days.events_of_a_return) over by_day as events_of_a_return,
    sum(visitor_days.events) over by_day - visitor_days.events as previous_events,
    sum(visitor_days.revenue) over by_day - visitor_days.revenue as previous_revenue,
    sum(visitor_days.value) over by_day - visitor_days.value as previous_value,
    sum(visitor_days.quantity) over by_day - visitor_days.quantity as previous_quantity,
    sum(visitor_days.events_of_a_week) over by_day - visitor_days.events_of_a_week
        as previous_events_of_a_week,
    sum(visitor_days.events_of_a_return) over by_day - visitor_days.events_of_a_return
        as previous_events_of_a_return
from visitor_days
inner join counted_exposures using (exposure_number)
window by_day as (
    partition by visitor_days.exposure_number, visitor_days.event_key
    order by visitor_days.observed_on
    rows unbounded preceding
);

-- The two funnels: for each event at a step, the latest start of a chain that ends there.
create table by_hand.funnel_steps as
with

exposed_visitors as (
    select
        visitor_id,
        min(exposed_at) as exposed_at
    from counted_exposures
    group by visitor_id
),

step_events as (
    select
        session_events.visitor_id,
        session_events.session_started_at,
        session_events.occurred_at,
        session_events.step
    from session_events
    inner join exposed_visitors
        on
            session_events.visitor_id = exposed_visitors.visitor_id
            and session_events.occurred_at >= exposed_visitors.exposed_at
    where session_events.step is not null and not session_events.is_bot
),

followed_events as (
    select
        'checkout' as metric_name,
        visitor_id,
        cast(null as timestamp) as session_started_at,
        cast(null as interval) as time_limit,
        occurred_at,
        step
    from step_events
    union all
    select
        'checkout in one visit' as metric_name,
        visitor_id,
        session_started_at,
        interval 1800 seconds as time_limit,
        occurred_at,
        step
    from step_events
),

first_steps as (
    select
        *,
        occurred_at as started_at,
        cast(null as timestamp) as previous_at
    from followed_events
    where step = 1
),

second_steps as (
    select
        * exclude (last_started_at, last_at) replace (
            last_started_at as started_at,
            last_at as previous_at
        )
    from (
        select
            *,
            max(case when step = 1 then started_at end) over so_far as last_started_at,
            max(case when step = 1 then occurred_at end) over so_far as last_at
        from (
            from first_steps
            union all by name
            from followed_events where step = 2
        ) as steps
        window so_far as (
            partition by metric_name, visitor_id, session_started_at
            order by occurred_at, step
            rows unbounded preceding
        )
    ) as followed
    where
        step = 2
        and last_started_at is not null
        and (time_limit is null or occurred_at <= last_started_at + time_limit)
),

third_steps as (
    select
        * exclude (last_started_at, last_at) replace (
            last_started_at as started_at,
            last_at as previous_at
        )
    from (
        select
            *,
            max(case when step = 2 then started_at end) over so_far as last_started_at,
            max(case when step = 2 then occurred_at end) over so_far as last_at
        from (
            from second_steps
            union all by name
            from followed_events where step = 3
        ) as steps
        window so_far as (
            partition by metric_name, visitor_id, session_started_at
            order by occurred_at, step
            rows unbounded preceding
        )
    ) as followed
    where
        step = 3
        and last_started_at is not null
        and (time_limit is null or occurred_at <= last_started_at + time_limit)
),

fourth_steps as (
    select
        * exclude (last_started_at, last_at) replace (
            last_started_at as started_at,
            last_at as previous_at
        )
    from (
        select
            *,
            max(case when step = 3 then started_at end) over so_far as last_started_at,
            max(case when step = 3 then occurred_at end) over so_far as last_at
        from (
            from third_steps
            union all by name
            from followed_events where step = 4
        ) as steps
        window so_far as (
            partition by metric_name, visitor_id, session_started_at
            order by occurred_at, step
            rows unbounded preceding
        )
    ) as followed
    where
        step = 4
        and last_started_at is not null
        and (time_limit is null or occurred_at <= last_started_at + time_limit)
),

chains as (
    from first_steps
    union all
    from second_steps
    union all
    from third_steps
    union all
    from fourth_steps
)

select
    exposures.exposure_number,
    exposures.experiment_id,
    exposures.variation_id,
    exposures.exposed_at,
    chains.metric_name,
    chains.step,
    min(chains.occurred_at) as reached_at,
    min(coalesce(chains.previous_at, exposures.exposed_at)) as previous_at
from counted_exposures as exposures
inner join chains
    on
        exposures.visitor_id = chains.visitor_id
        and exposures.exposed_at <= chains.started_at
group by all;

create table by_hand.funnel_report as
with

reached as (
    select
        experiment_id,
        metric_name,
        variation_id,
        step,
        count(*) as visitors,
        quantile_cont(seconds_since_previous_step, 0.5) as median_seconds,
        quantile_cont(seconds_since_previous_step, 0.9) as p90_seconds
    from (
        select
            *,
            (epoch_us(reached_at) - epoch_us(previous_at)) / 1e6 as seconds_since_previous_step
        from by_hand.funnel_steps
    ) as steps
    group by all
),

steps as (
    select
        arms.experiment_id,
        metric_name,
        arms.variation_id,
        step,
        arms.visitors as exposed_visitors,
        if(step = 0, arms.visitors, coalesce(reached.visitors, 0)) as visitors,
        reached.median_seconds,
        reached.p90_seconds
    from arms
    cross join (select unnest(['checkout', 'checkout in one visit']) as metric_name) as funnels
    cross join (select unnest([0, 1, 2, 3, 4]) as step) as numbers
    left join reached using (experiment_id, metric_name, variation_id, step)
)

select
    *,
    visitors / exposed_visitors as rate_of_exposed,
    visitors / nullif(lag(visitors) over (
        partition by experiment_id, metric_name, variation_id
        order by step
    ), 0) as rate_of_previous
from steps;

-- Everything that is added up later, by the days of exposure and of observation.
create temp table daily_changes as
with

-- The largest orders are cut.
caps as (
    select
        experiment_id,
        min(revenue) as cap
    from (
        select
            experiment_id,
            revenue,
            row_number() over (partition by experiment_id order by revenue) as value_rank,
            count(*) over (partition by experiment_id) as value_count
        from (
            select
                counted_exposures.experiment_id,
                sum(visitor_days.revenue) as revenue
            from visitor_days
            inner join counted_exposures using (exposure_number)
            where visitor_days.event_key = 'purchase'
            group by counted_exposures.experiment_id, visitor_days.exposure_number
            having sum(visitor_days.revenue) > 0
        ) as purchases
    ) as ranked
    where value_rank >= 0.99 * value_count
    group by experiment_id
),

-- Of every event, four metrics at once.
events as (
    select
        experiment_id,
        variation_id,
        event_key,
        exposed_on,
        observed_on,
        cast(count_if(previous_events = 0) as double) as visitors,
        sum(events - previous_events) as events,
        sum(events * events - previous_events * previous_events) as events_squares,
        sum(revenue - previous_revenue) as revenue,
        sum(revenue * revenue - previous_revenue * previous_revenue) as revenue_squares,
        count_if(revenue <> 0) - count_if(previous_revenue <> 0) as revenue_visitors,
        sum(value - previous_value) as value,
        sum(value * value - previous_value * previous_value) as value_squares,
        count_if(value <> 0) - count_if(previous_value <> 0) as value_visitors
    from visitor_days_so_far
    group by experiment_id, variation_id, event_key, exposed_on, observed_on
),

-- Of these, what was asked for.
orders as (
    select
        visitor_days_so_far.* replace (
            least(revenue, coalesce(cap, revenue)) as revenue,
            least(previous_revenue, coalesce(cap, previous_revenue)) as previous_revenue
        ),
        revenue as uncapped_revenue,
        previous_revenue as previous_uncapped_revenue
    from visitor_days_so_far
    left join caps using (experiment_id)
    where event_key = 'purchase'
),

views as (
    select * from visitor_days_so_far where event_key = 'product_viewed'
),

first_days as (
    select
        exposure_number,
        experiment_id,
        variation_id,
        exposed_on,
        min(observed_on) filter (where event_key = 'add_to_cart') as cart_on,
        min(observed_on) filter (where event_key = 'purchase') as purchase_on,
        min(observed_on) filter (where event_key = 'search / filter') as search_on,
        min(observed_on) filter (where event_key = 'newsletter signup ✓') as signup_on
    from visitor_days_so_far
    group by exposure_number, experiment_id, variation_id, exposed_on
),

yes_or_no as (
    select
        experiment_id,
        variation_id,
        'purchase rate' as metric_name,
        exposed_on,
        observed_on,
        least(events_of_a_week, 1) - least(previous_events_of_a_week, 1) as change,
        events_of_a_week - previous_events_of_a_week as conversions
    from orders
    union all
    select
        experiment_id,
        variation_id,
        'came back' as metric_name,
        exposed_on,
        observed_on,
        least(events_of_a_return, 1) - least(previous_events_of_a_return, 1) as change,
        events_of_a_return - previous_events_of_a_return as conversions
    from views
    union all
    select
        experiment_id,
        variation_id,
        'cart left behind' as metric_name,
        exposed_on,
        cart_on as observed_on,
        1 as change,
        null as conversions
    from first_days
    where cart_on < coalesce(purchase_on, 'infinity')
    union all
    select
        experiment_id,
        variation_id,
        'cart left behind' as metric_name,
        exposed_on,
        purchase_on as observed_on,
        -1 as change,
        null as conversions
    from first_days
    where cart_on < purchase_on
    union all
    select
        experiment_id,
        variation_id,
        'searched and signed up' as metric_name,
        exposed_on,
        greatest(search_on, signup_on) as observed_on,
        1 as change,
        null as conversions
    from first_days
    where search_on is not null and signup_on is not null
    union all
    select
        experiment_id,
        variation_id,
        metric_name,
        cast(exposed_at as date) as exposed_on,
        cast(reached_at as date) as observed_on,
        1 as change,
        null as conversions
    from by_hand.funnel_steps
    where step = 4
),

-- Numbers are of orders or of views, so they are summed where they stand.
numbers as (
    select
        experiment_id,
        variation_id,
        exposed_on,
        observed_on,
        sum(revenue - previous_revenue) as capped_revenue,
        sum(revenue * revenue - previous_revenue * previous_revenue) as capped_revenue_squares,
        count_if(revenue <> 0) - count_if(previous_revenue <> 0) as revenue_visitors,
        sum(uncapped_revenue - previous_uncapped_revenue) as revenue,
        sum(
            uncapped_revenue * uncapped_revenue
            - previous_uncapped_revenue * previous_uncapped_revenue
        ) as revenue_squares,
        sum(quantity - previous_quantity) as quantity,
        sum(quantity * quantity - previous_quantity * previous_quantity) as quantity_squares,
        count_if(quantity <> 0) - count_if(previous_quantity <> 0) as quantity_visitors,
        sum(events - previous_events) as events,
        sum(events * events - previous_events * previous_events) as events_squares,
        sum(uncapped_revenue * events - previous_uncapped_revenue * previous_events)
            as revenue_products,
        sum(quantity * events - previous_quantity * previous_events) as quantity_products
    from orders
    group by experiment_id, variation_id, exposed_on, observed_on
)

select
    experiment_id,
    variation_id,
    event_key || ': unique conversions' as metric_name,
    exposed_on,
    observed_on,
    visitors as unique_conversions,
    events as total_conversions,
    visitors as value_sum,
    visitors as value_sum_squares,
    cast(null as double) as denominator_sum,
    cast(null as double) as denominator_sum_squares,
    cast(null as double) as cross_product_sum
from events
union all
select
    experiment_id,
    variation_id,
    event_key || ': total conversions' as metric_name,
    exposed_on,
    observed_on,
    visitors as unique_conversions,
    events as total_conversions,
    events as value_sum,
    events_squares as value_sum_squares,
    null as denominator_sum,
    null as denominator_sum_squares,
    null as cross_product_sum
from events
union all
select
    experiment_id,
    variation_id,
    event_key || ': revenue' as metric_name,
    exposed_on,
    observed_on,
    revenue_visitors as unique_conversions,
    events as total_conversions,
    revenue as value_sum,
    revenue_squares as value_sum_squares,
    null as denominator_sum,
    null as denominator_sum_squares,
    null as cross_product_sum
from events
union all
select
    experiment_id,
    variation_id,
    event_key || ': value' as metric_name,
    exposed_on,
    observed_on,
    value_visitors as unique_conversions,
    events as total_conversions,
    value as value_sum,
    value_squares as value_sum_squares,
    null as denominator_sum,
    null as denominator_sum_squares,
    null as cross_product_sum
from events
union all
select
    experiment_id,
    variation_id,
    'products viewed' as metric_name,
    exposed_on,
    observed_on,
    visitors as unique_conversions,
    events as total_conversions,
    events as value_sum,
    events_squares as value_sum_squares,
    null as denominator_sum,
    null as denominator_sum_squares,
    null as cross_product_sum
from events
where event_key = 'product_viewed'
union all
select
    experiment_id,
    variation_id,
    'revenue per visitor' as metric_name,
    exposed_on,
    observed_on,
    revenue_visitors as unique_conversions,
    events as total_conversions,
    capped_revenue as value_sum,
    capped_revenue_squares as value_sum_squares,
    null as denominator_sum,
    null as denominator_sum_squares,
    null as cross_product_sum
from numbers
union all
select
    experiment_id,
    variation_id,
    'order value' as metric_name,
    exposed_on,
    observed_on,
    revenue_visitors as unique_conversions,
    events as total_conversions,
    revenue as value_sum,
    revenue_squares as value_sum_squares,
    events as denominator_sum,
    events_squares as denominator_sum_squares,
    revenue_products as cross_product_sum
from numbers
union all
select
    experiment_id,
    variation_id,
    'items per order' as metric_name,
    exposed_on,
    observed_on,
    quantity_visitors as unique_conversions,
    events as total_conversions,
    quantity as value_sum,
    quantity_squares as value_sum_squares,
    events as denominator_sum,
    events_squares as denominator_sum_squares,
    quantity_products as cross_product_sum
from numbers
union all
select
    experiment_id,
    variation_id,
    metric_name,
    exposed_on,
    observed_on,
    sum(change) as unique_conversions,
    sum(conversions) as total_conversions,
    sum(change) as value_sum,
    sum(change) as value_sum_squares,
    null as denominator_sum,
    null as denominator_sum_squares,
    null as cross_product_sum
from yes_or_no
group by experiment_id, variation_id, metric_name, exposed_on, observed_on;

create temp table experiment_metrics as
select distinct
    experiment_id,
    metric_name,
    false as is_ratio,
    contains(metric_name, ': unique conversions') as is_rate,
    true as is_of_conversions,
    false as takes_a_week
from daily_changes
where contains(metric_name, ': ')
union all
select
    experiments.experiment_id,
    declared.metric_name,
    declared.metric_name in ('order value', 'items per order') as is_ratio,
    declared.metric_name not in (
        'revenue per visitor', 'order value', 'items per order', 'products viewed'
    ) as is_rate,
    declared.metric_name not in (
        'checkout', 'checkout in one visit', 'cart left behind', 'searched and signed up'
    ) as is_of_conversions,
    declared.metric_name in ('purchase rate', 'came back') as takes_a_week
from (select distinct experiment_id from arms) as experiments
cross join (
    select unnest([
        'purchase rate', 'revenue per visitor', 'order value', 'items per order',
        'products viewed', 'checkout', 'checkout in one visit', 'cart left behind',
        'searched and signed up', 'came back'
    ]) as metric_name
) as declared;

create table by_hand.metric_summary as
with

sums as (
    select
        experiment_id,
        variation_id,
        metric_name,
        sum(unique_conversions) as unique_conversions,
        sum(total_conversions) as total_conversions,
        sum(value_sum) as value_sum,
        sum(value_sum_squares) as value_sum_squares,
        sum(denominator_sum) as denominator_sum,
        sum(denominator_sum_squares) as denominator_sum_squares,
        sum(cross_product_sum) as cross_product_sum
    from daily_changes
    group by experiment_id, variation_id, metric_name
)

select
    arms.experiment_id,
    arms.variation_id,
    experiment_metrics.metric_name,
    experiment_metrics.is_rate,
    arms.visitors,
    if(experiment_metrics.takes_a_week, arms.visitors_of_a_week, arms.visitors) as mature_visitors,
    coalesce(sums.unique_conversions, 0) as unique_conversions,
    if(is_of_conversions, coalesce(sums.total_conversions, 0), null) as total_conversions,
    coalesce(sums.value_sum, 0) as value_sum,
    coalesce(sums.value_sum_squares, 0) as value_sum_squares,
    if(is_ratio, coalesce(sums.denominator_sum, 0), null) as denominator_sum,
    if(is_ratio, coalesce(sums.denominator_sum_squares, 0), null) as denominator_sum_squares,
    if(is_ratio, coalesce(sums.cross_product_sum, 0), null) as cross_product_sum
from arms
inner join experiment_metrics using (experiment_id)
left join sums using (experiment_id, variation_id, metric_name);

-- What was known at the end of each day, of those exposed until then.
create table by_hand.daily_summary as
with

exposed as (
    select
        experiment_id,
        variation_id,
        cast(exposed_at as date) as day,
        count(*) as visitors
    from counted_exposures
    group by experiment_id, variation_id, day
),

days as (
    select distinct
        experiment_id,
        'day_of_exposure' as counted_by,
        day
    from exposed
    union all
    (
        select
            experiment_id,
            'day_of_observation' as counted_by,
            day
        from exposed
        union
        select
            experiment_id,
            'day_of_observation' as counted_by,
            observed_on as day
        from daily_changes
    )
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
    inner join days using (experiment_id)
    left join exposed using (experiment_id, variation_id, day)
),

changes as (
    select
        'day_of_exposure' as counted_by,
        exposed_on as day,
        *
    from daily_changes
    union all
    select
        'day_of_observation' as counted_by,
        observed_on as day,
        *
    from daily_changes
),

sums as (
    select
        experiment_id,
        variation_id,
        metric_name,
        counted_by,
        day,
        sum(value_sum) as value_sum,
        sum(value_sum_squares) as value_sum_squares,
        sum(denominator_sum) as denominator_sum,
        sum(denominator_sum_squares) as denominator_sum_squares,
        sum(cross_product_sum) as cross_product_sum
    from changes
    group by experiment_id, variation_id, metric_name, counted_by, day
)

select
    experiment_id,
    variation_id,
    metric_name,
    counted_by,
    day,
    is_rate,
    visitors,
    coalesce(sum(value_sum) over to_day, 0) as value_sum,
    coalesce(sum(value_sum_squares) over to_day, 0) as value_sum_squares,
    if(is_ratio, coalesce(sum(denominator_sum) over to_day, 0), null) as denominator_sum,
    if(is_ratio, coalesce(sum(denominator_sum_squares) over to_day, 0), null)
        as denominator_sum_squares,
    if(is_ratio, coalesce(sum(cross_product_sum) over to_day, 0), null) as cross_product_sum
from arm_days
inner join experiment_metrics using (experiment_id)
left join sums using (experiment_id, variation_id, metric_name, counted_by, day)
where visitors is not null
window to_day as (
    partition by experiment_id, variation_id, metric_name, counted_by
    order by day
    rows unbounded preceding
);

create table by_hand.results as
with

summaries as (
    select
        'now' as counted_by,
        cast(null as date) as day,
        * exclude (mature_visitors, unique_conversions, total_conversions)
    from by_hand.metric_summary
    union all by name
    from by_hand.daily_summary
),

with_means as (
    select
        *,
        coalesce(denominator_sum, visitors) as denominator,
        coalesce(denominator_sum_squares, visitors) as denominator_squares,
        coalesce(cross_product_sum, value_sum) as cross_products,
        value_sum / nullif(coalesce(denominator_sum, visitors), 0) as mean
    from summaries
),

with_variances as (
    select
        *,
        (value_sum_squares - 2 * mean * cross_products + mean * mean * denominator_squares)
        / nullif(visitors - if(is_rate, 0, 1), 0)
        * visitors
        / nullif(denominator * denominator, 0) as mean_variance
    from with_means
),

-- The seed declares the same ones.
baselines as (
    select
        experiment_id,
        min(variation_id) as variation_id
    from arms
    group by experiment_id
)

select
    arms.experiment_id,
    arms.metric_name,
    arms.variation_id,
    arms.counted_by,
    arms.day,
    arms.visitors,
    arms.mean,
    arms.mean_variance,
    baseline.mean as baseline_mean,
    arms.mean - baseline.mean as difference,
    arms.mean_variance + baseline.mean_variance as difference_variance,
    if(baseline.mean > 0, (arms.mean - baseline.mean) / baseline.mean, null) as lift
from with_variances as arms
inner join baselines using (experiment_id)
left join with_variances as baseline
    on
        baselines.experiment_id = baseline.experiment_id
        and baselines.variation_id = baseline.variation_id
        and arms.metric_name = baseline.metric_name
        and arms.counted_by = baseline.counted_by
        and arms.day is not distinct from baseline.day;

-- What is seen of experiments, of events and of days.
create table by_hand.experiment_counts as
with

sightings as (
    select
        experiment_id,
        variation_id,
        true as is_decision,
        occurred_at
    from decisions
    where experiment_id is not null
    union all
    select
        experiment_id,
        variation_id,
        false as is_decision,
        occurred_at
    from vendor_attributions
)

select
    experiment_id,
    variation_id,
    count_if(is_decision) as decision_count,
    min(occurred_at) as first_seen_at,
    max(occurred_at) as last_seen_at
from sightings
group by experiment_id, variation_id;

create table by_hand.event_counts as
select
    entity_id,
    event_name,
    count(*) as conversion_count,
    count(distinct visitor_id) as visitor_count,
    coalesce(sum(revenue_cents), 0) as revenue_cents,
    coalesce(sum(value), 0) as value
from conversions
where event_key is not null
group by entity_id, event_name;

create table by_hand.export_days as
select
    'decisions' as export_type,
    _export_date as export_date,
    count_if(cast(timestamp as date) < _export_date) as late_row_count,
    max(process_timestamp) as last_processed_at
from optimizely_raw.decisions
group by export_date
union all
select
    'events' as export_type,
    _export_date as export_date,
    count_if(cast(timestamp as date) < _export_date) as late_row_count,
    max(process_timestamp) as last_processed_at
from optimizely_raw.conversions
group by export_date;
