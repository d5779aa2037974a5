with

visitor_countings as (
    select 'full_stack' as visitor_counting
    union all
    select 'web' as visitor_counting
),

crossovers as (
    select 'first' as crossovers
    union all
    select 'exclude' as crossovers
),

attributions as (
    select 'derived' as attribution
    union all
    select 'vendor' as attribution
),

bots as (
    select 'excluded' as bots
    union all
    select 'included' as bots
),

final as (
    select
        visitor_countings.visitor_counting,
        crossovers.crossovers,
        attributions.attribution,
        bots.bots,
        visitor_countings.visitor_counting = '{{ var("visitor_counting") }}'
        and crossovers.crossovers = '{{ var("crossovers") }}'
        and attributions.attribution = '{{ var("attribution") }}'
        and bots.bots = 'excluded' as is_configured
    from visitor_countings
    cross join crossovers
    cross join attributions
    cross join bots
)

select * from final
