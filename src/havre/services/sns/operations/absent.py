"""What can be said truly of what Havre does not have: phones, and mobile applications. Making any is refused by name."""

from __future__ import annotations

from havre.control.operation import Answer, Call, Operations, Request
from havre.services.sns import names, queries
from havre.services.sns.names import of_topic

ops = Operations()
ops.nothing(
    {
        "ListPlatformApplications": "PlatformApplications",
        "ListPhoneNumbersOptedOut": "phoneNumbers",
        "ListOriginationNumbers": "PhoneNumbers",
        "ListSMSSandboxPhoneNumbers": "PhoneNumbers",
    }
)


@ops("GetSMSAttributes")
async def get_sms_attributes(call: Call, request: Request) -> Answer:
    return {"attributes": {}}


@ops("GetDataProtectionPolicy", resources=of_topic("ResourceArn"))
async def get_data_protection_policy(call: Call, request: Request) -> Answer:
    queries.topic(call.store, names.topic_place(call, request["ResourceArn"], "ResourceArn"))
    return {}
