-- What an expert writes by hand for one funnel of four steps and one experiment: for each step the
-- latest start of a chain, by window functions, then the first time that each visitor reached it
-- after the exposure. No declarations, no ties between steps, no limit, one experiment.
create or replace table by_hand as
with

steps as (
    select
        visitor_id,
        event_id,
        occurred_at,
        case event_name when 'view' then 1 when 'cart' then 2 when 'checkout' then 3 else 4 end
            as step
    from fct_conversions
    where event_name in ('view', 'cart', 'checkout', 'buy') and not is_bot
),

first_steps as (
    select
        *,
        case when step = 1 then occurred_at end as start_1
    from steps
),

second_steps as (
    select
        *,
        case when step = 2 then max(start_1) over so_far end as start_2,
        case when step = 2 then max(case when start_1 is not null then occurred_at end) over so_far
        end as previous_2
    from first_steps
    window so_far as (
        partition by visitor_id
        order by occurred_at, step, event_id
        rows between unbounded preceding and current row
    )
),

third_steps as (
    select
        *,
        case when step = 3 then max(start_2) over so_far end as start_3,
        case when step = 3 then max(case when start_2 is not null then occurred_at end) over so_far
        end as previous_3
    from second_steps
    window so_far as (
        partition by visitor_id
        order by occurred_at, step, event_id
        rows between unbounded preceding and current row
    )
),

fourth_steps as (
    select
        *,
        case when step = 4 then max(start_3) over so_far end as start_4,
        case when step = 4 then max(case when start_3 is not null then occurred_at end) over so_far
        end as previous_4
    from third_steps
    window so_far as (
        partition by visitor_id
        order by occurred_at, step, event_id
        rows between unbounded preceding and current row
    )
),

chains as (
    select
        visitor_id,
        step,
        occurred_at,
        coalesce(start_4, start_3, start_2, start_1) as started_at,
        coalesce(previous_4, previous_3, previous_2) as previous_at
    from fourth_steps
)

select
    exposures.visitor_id,
    exposures.variation_id,
    chains.step,
    min(chains.occurred_at) as reached_at,
    min(chains.started_at) as chain_started_at,
    epoch_us(min(chains.occurred_at)) - epoch_us(min(exposures.exposed_at)) as since_exposure,
    epoch_us(min(chains.occurred_at)) - epoch_us(min(chains.started_at)) as since_first_step,
    epoch_us(min(chains.occurred_at))
    - epoch_us(coalesce(min(chains.previous_at), min(exposures.exposed_at))) as since_previous_step
from int_counted_exposures as exposures
inner join chains
    on
        exposures.visitor_id = chains.visitor_id
        and exposures.exposed_at <= chains.started_at
where exposures.experiment_id = '1'
group by exposures.visitor_id, exposures.variation_id, chains.step
