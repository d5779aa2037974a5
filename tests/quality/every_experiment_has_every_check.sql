-- Every experiment that was seen has each check once; there are nine. Returns those that have not.
with

experiments as (
    select * from {{ ref('dim_experiments') }}
),

health as (
    select * from {{ ref('experiment_health') }}
)

select
    experiments.experiment_id,
    count(health.check_name) as check_count
from experiments
left join health on experiments.experiment_id = health.experiment_id
group by experiments.experiment_id
having count(distinct health.check_name) <> 9 or count(health.check_name) <> 9
