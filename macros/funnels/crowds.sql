{#
    Common tables for the instants at which an event matches several steps of one funnel: crowds.

    One event never fills two steps. Where each event of an instant matches one step only, that is
    so by itself. In a crowd it has to be made sure that the steps filled there can be given
    different events. By Hall's theorem the steps j to k can, if and only if no set of steps among
    them has fewer events that match any of it than it has steps: such a set is short of events.

    So a chain that fills step k in a crowd comes from a step before the crowd, and the earlier the
    better: from the lowest step of a short set whose steps are all up to k, the highest of these.
    Step 0 is none: the chain begins in the crowd.

    → `crowded_instants`, and `crowd_rows`: one row per instant of a crowd × step that is matched in
    it, with its `from_step`. Which steps an event matches is a number with a bit for each of them;
    few crowds differ in these.
#}
{% macro crowds(longest) -%}
crowded_instants as (
    select distinct
        metric_number,
        visitor_id,
        followed_for,
        occurred_at
    from (
        select
            metric_number,
            visitor_id,
            followed_for,
            occurred_at
        from ({{ optimizely_e3.events_at_steps(['event_id'], 'looked_up.is_shared') }}) as events
        group by metric_number, visitor_id, followed_for, occurred_at, event_id
        having count(*) > 1
    ) as events_at_several_steps
    where {{ optimizely_e3.is_computed_once() }}
),

crowded_events as (
    select
        events.metric_number,
        events.visitor_id,
        events.followed_for,
        events.occurred_at,
        -- Events of one instant are in one session.
        min(events.session_key) as session_key,
        cast(sum(cast(pow(2, events.part - 1) as bigint)) as bigint) as step_set
    from ({{ optimizely_e3.events_at_steps(['event_id']) }}) as events
    inner join crowded_instants
        on {{ optimizely_e3.same_instant('events', 'crowded_instants') }}
    group by
        events.metric_number,
        events.visitor_id,
        events.followed_for,
        events.occurred_at,
        events.event_id
),

crowds as (
    select
        metric_number,
        visitor_id,
        followed_for,
        occurred_at,
        min(session_key) as session_key,
        bit_or(step_set) as step_set,
        array_sort(array_agg(step_set)) as step_sets
    from crowded_events
    group by metric_number, visitor_id, followed_for, occurred_at
    having {{ optimizely_e3.is_computed_once() }}
),

different_crowds as (
    select
        step_set,
        step_sets
    from crowds
    group by step_set, step_sets
),

steps_of_funnels as (
    {%- for step in range(1, longest + 1) %}
    select
        {{ step }} as step,
        {{ 2 ** (step - 1) }} as step_bit
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

sets_of_steps as (
    select
        numbers.step_set,
        min(steps_of_funnels.step) as lowest_step,
        max(steps_of_funnels.step) as highest_step,
        count(*) as step_count
    from (select {{ optimizely_e3.each_number_to(2 ** longest - 1) }} as step_set) as numbers
    inner join steps_of_funnels on (numbers.step_set & steps_of_funnels.step_bit) <> 0
    group by numbers.step_set
    union all
    -- Where no set is short, a chain begins: at step 0.
    select
        0 as step_set,
        0 as lowest_step,
        0 as highest_step,
        0 as step_count
),

short_sets as (
    select
        different_crowds.step_sets,
        different_crowds.step_set,
        sets_of_steps.lowest_step,
        sets_of_steps.highest_step
    from different_crowds
    inner join sets_of_steps
        -- A step that nothing matches is short of events by itself: no other set needs to hold it.
        on
            (different_crowds.step_set & sets_of_steps.step_set) = sets_of_steps.step_set
            or sets_of_steps.step_count = 1
    where
        sets_of_steps.step_count = 0
        or {{ optimizely_e3.count_elements(
            'different_crowds.step_sets', '(element & sets_of_steps.step_set) <> 0'
        ) }} < sets_of_steps.step_count
),

steps_of_crowds as (
    select
        short_sets.step_sets,
        steps_of_funnels.step,
        max(short_sets.lowest_step) as from_step
    from short_sets
    inner join steps_of_funnels
        on
            (short_sets.step_set & steps_of_funnels.step_bit) <> 0
            and steps_of_funnels.step >= short_sets.highest_step
    group by short_sets.step_sets, steps_of_funnels.step
),

crowd_rows as (
    select
        crowds.metric_number,
        crowds.visitor_id,
        crowds.session_key,
        crowds.followed_for,
        crowds.occurred_at,
        steps_of_crowds.step,
        steps_of_crowds.from_step
    from crowds
    inner join steps_of_crowds on crowds.step_sets = steps_of_crowds.step_sets
)
{%- endmacro %}
