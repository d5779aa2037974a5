{{ config(meta={'counting_settings': optimizely_e3.counting_settings()}) }}

with

-- Not unions of single rows: the code that Spark 4.3 generates for a union breaks where it is
-- joined in results_reconciliation.
visitor_countings as (
    select listed.visitor_counting
    from (values ('full_stack'), ('web')) as listed (visitor_counting)
),

crossovers as (
    select listed.crossovers
    from (values ('first'), ('exclude')) as listed (crossovers)
),

attributions as (
    select listed.attribution
    from (values ('derived'), ('vendor')) as listed (attribution)
),

bots as (
    select listed.bots
    from (values ('excluded'), ('included')) as listed (bots)
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
