-- What the engines spell differently means the same on both. Returns the macros that do not.
with

examples as (
    select
        cast('2023-10-09 01:02:03.004' as timestamp) as earlier,
        cast('2023-10-10 01:02:03.254' as timestamp) as later
),

checks as (
    select
        'epoch_milliseconds' as macro_name,
        {{ optimizely_e3.epoch_milliseconds('earlier') }} = 1696813323004 as is_right
    from examples
    union all
    select
        'epoch_microseconds' as macro_name,
        {{ optimizely_e3.epoch_microseconds('earlier') }} = 1696813323004000 as is_right
    from examples
    union all
    select
        'seconds_between' as macro_name,
        {{ optimizely_e3.seconds_between('earlier', 'later') }} = 86400.25
        and {{ optimizely_e3.seconds_between('later', 'earlier') }} = -86400.25 as is_right
    from examples
    union all
    select
        'any_element' as macro_name,
        {{ optimizely_e3.any_element("split('a,b', ',')", "element = 'b'") }}
        and not {{ optimizely_e3.any_element("split('a,b', ',')", "element = 'c'") }} as is_right
    from examples
    union all
    select
        'each_element' as macro_name,
        count(*) = 2 and min(letter) = 'a' and max(letter) = 'b' as is_right
    from (
        select {{ optimizely_e3.each_element("split('a,b', ',')") }} as letter
        from examples
    ) as letters
)

select *
from checks
where not coalesce(is_right, false)
